"""``mashbill batches``: what is under way at a provider's batch endpoint, and how to end it.

    $ mashbill batches
    BATCH      AT                     STATE        REQUESTS  ANSWERED  FAILED  BEGUN             SEEN
    batch_6f1  api.openai.com:443/v1  in_progress    50,000    12,304       0  2026-11-22 00:58  2026-11-22 02:10

    $ mashbill batches --look               # ask the provider now
    $ mashbill batches --cancel batch_6f1
    $ mashbill batches --forget batch_6f1

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

batches_app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


@batches_app.command()
def batches(
    look: Annotated[bool, typer.Option("--look", help="Ask the provider how they stand now.")] = False,
    cancel: Annotated[
        str, typer.Option("--cancel", metavar="BATCH", help="End one at the provider, or all.", show_default=False)
    ] = "",
    forget: Annotated[
        str,
        typer.Option(
            "--forget", metavar="BATCH", help="Ask its requests again, though it may be paid for.", show_default=False
        ),
    ] = "",
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].", show_default=False),
    ] = None,
) -> None:
    """List the batches at providers' batch endpoints; look at, cancel or forget one."""
    from flows.batches import cancel_batches, forget_batch, look_at_batches, show_batches
    from flows.cli import settings_of

    folder = settings_of(root).root / "batches"
    if forget:
        typer.echo(forget_batch(folder, forget))
    if cancel:
        typer.echo(cancel_batches(folder, cancel))
    if look:
        look_at_batches(folder)
    show_batches(folder)
