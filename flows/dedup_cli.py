"""``mashbill dedup``: an index of a release for later batches to be held against, and signatures for other tools.

    $ mashbill dedup index releases/tolvarey/5f0c dedup_index/tolvarey
    $ mashbill dedup signatures exact_dedup signatures.parquet

Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from filters.minhash_dedup import MinhashDedup
    from mashbill.step import Parts

dedup_app = typer.Typer(
    help="Indexes of earlier releases (`against` of exact_dedup and minhash_dedup), and signatures for other tools.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Threshold = Annotated[float, typer.Option("--threshold", help="The lower threshold of the steps that will use it.")]
ShingleWords = Annotated[int, typer.Option("--shingle-words", min=1, help="Words in a row that make a shingle.")]
Permutations = Annotated[int, typer.Option("--num-perm", min=1, help="Permutations.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the permutations.")]
Root = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="Where all is stored [MASHBILL_ROOT, or runs].")
]


@dedup_app.command()
def index(
    things: Annotated[
        list[str],
        typer.Argument(
            metavar="STEP...", help="Finished steps or releases, by name, fingerprint or path.", show_default=False
        ),
    ],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.", show_default=False)],
    threshold: Threshold = 0.75,
    shingle_words: ShingleWords = 5,
    num_perm: Permutations = 128,
    seed: Seed = 1,
    root: Root = None,
) -> None:
    """Index rows, so that later batches can be held against them without reading their text."""
    from filters.earlier import write_index

    rows = write_index([_parts(one, root) for one in things], folder, _step(threshold, shingle_words, num_perm, seed))
    typer.echo(f"{folder}: {rows:,} rows; name it as `against` in exact_dedup or minhash_dedup")


@dedup_app.command()
def signatures(
    thing: Annotated[str, typer.Argument(metavar="STEP", help="A finished step or release.", show_default=False)],
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="The Parquet file to write.", show_default=False)],
    shingle_words: ShingleWords = 5,
    num_perm: Permutations = 128,
    seed: Seed = 1,
    root: Root = None,
) -> None:
    """Write the signatures of rows as datasketch's LeanMinHash reads them: columns id and lean_minhash."""
    from filters.lean_minhash import write_signatures

    rows = write_signatures(_parts(thing, root), file, _step(0.75, shingle_words, num_perm, seed))
    typer.echo(f"{file}: {rows:,} signatures; datasketch.LeanMinHash.deserialize(value) reads each")


def _step(threshold: float, shingle_words: int, num_perm: int, seed: int) -> MinhashDedup:
    from filters.minhash_dedup import MinhashDedup

    return MinhashDedup(threshold=threshold, shingle_words=shingle_words, num_perm=num_perm, seed=seed)


def _parts(name: str, root: Path | None) -> Parts:
    from flows.cli import settings_of
    from flows.release_parts import ReleaseParts
    from flows.stored import the_thing
    from mashbill.store import Stored

    thing = the_thing(name, settings_of(root).root, ["step", "release"])
    return Stored.open(thing.path) if thing.sort == "step" else ReleaseParts.open(thing.path)
