"""Shared fakes and small builders: real stores and ledgers, made-up steps, and engines that misbehave on order."""
