"""Sampling paths: the law of each draw, what counts, and what never happens."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from kg import sample_kernel as kernel
from kg.coverage import Coverage, gini
from kg.graph import Graph, relations_of
from kg.sample import PathSampler
from mashbill.errors import InputError
from mashbill.records import Path
from tests.kg.graphs import TRIPLES, Plain, graph, star, stated

WHEEL = [f"n{one} r n{(one + 1) % 6}" for one in range(6)]


def nodes_of(paths: list[Path]) -> Counter[str]:
    return Counter(node for path in paths for node in path.nodes)


def counts(sampler: PathSampler) -> Counter[str]:
    named = zip(sampler.graph.names.to_pylist(), sampler.counts.tolist(), strict=True)
    return Counter({name: count for name, count in named if count})


def sources(graph: Graph, frequencies: list[int], eps: float, draws: int) -> np.ndarray[Any, Any]:
    """How often each node is drawn as a source under these counts."""
    pool = kernel.pool(graph.nodes, np.arange(graph.nodes), eps)
    for node, frequency in enumerate(frequencies):
        for _ in range(frequency):
            kernel.shift(node, 1, pool)
    state = np.array([12345], np.uint64)
    drawn = [kernel.source(state, True, pool) for _ in range(draws)]
    return np.bincount(drawn, minlength=graph.nodes)


def within(found: Any, wanted: Any, deviations: float = 5.0) -> bool:
    """Whether counts lie where a binomial of their sum would put them: 5 deviations miss once in two million."""
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    total = found.sum()
    shares = wanted / wanted.sum()
    return bool(np.all(np.abs(found - total * shares) <= deviations * np.sqrt(total * shares * (1 - shares)) + 1e-9))


# The law -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1.0, 0.25, 10.0])
def test_a_source_is_drawn_in_inverse_proportion_to_its_count_and_eps(eps: float) -> None:
    frequencies = [0, 0, 1, 2, 3, 6, 7, 30, 100]
    wheel = graph(*(f"n{one} r n{(one + 1) % 9}" for one in range(9)))
    drawn = sources(wheel, frequencies, eps, 60_000)
    # P(i) / P(j) == (f_j + eps) / (f_i + eps), for all pairs at once.
    assert within(drawn, [1 / (frequency + eps) for frequency in frequencies])


def test_a_tiny_eps_is_drawing_without_putting_back_and_a_large_one_is_uniform() -> None:
    wheel = graph(*WHEEL)
    assert sources(wheel, [0, 1, 1, 1, 1, 1], 1e-9, 2000).tolist() == [2000, 0, 0, 0, 0, 0]
    assert within(sources(wheel, [0, 9, 9, 9, 9, 9], 1e9, 30_000), [1] * 6)


@given(st.lists(st.tuples(st.integers(0, 9999), st.booleans()), max_size=300), st.sampled_from([1.0, 0.1, 1e-9]))
def test_every_sum_of_the_tree_is_that_of_the_weights_below_it(moves: list[tuple[int, bool]], eps: float) -> None:
    sources = np.arange(0, 10_000, 2)  # 79 blocks, and two sums of those
    pool = kernel.pool(10_000, sources, eps)
    assert len(pool.start) == 3
    for node, up in moves:
        kernel.shift(node, 1 if up or not pool.count[node] else -1, pool)
    level = np.array([kernel.weight(pool.count[node], pool.scale, eps) for node in sources], np.int64)
    for start, stop in pairwise(pool.start.tolist()):
        level = np.array([level[at : at + 64].sum() for at in range(0, len(level), 64)])
        assert pool.sums[start:stop].tolist() == level.tolist()


def test_sources_of_many_levels_are_all_drawn_alike() -> None:
    nodes = 64 * 64 * 3
    pool = kernel.pool(nodes, np.arange(nodes), 1.0)
    assert len(pool.start) == 3
    state = np.array([1], np.uint64)
    drawn = np.array([kernel.source(state, True, pool) for _ in range(60_000)])
    assert within(np.bincount(drawn // 1024, minlength=12), [1] * 12)
    assert within(np.bincount(drawn % 64, minlength=64), [1] * 64)


def test_parallel_edges_are_drawn_as_often_as_others() -> None:
    one = graph("a r b", "a s b", "a t b", "a r c", "b u a")
    paths = [path for path in _many(one, 9000, hops=1, start="uniform") if path.edges[0].head == "a"]
    found = Counter((path.edges[0].relation, path.edges[0].tail) for path in paths)
    assert set(found) == {("r", "b"), ("s", "b"), ("t", "b"), ("r", "c"), ("inverse of u", "b")}
    assert within(list(found.values()), [1] * 5)


def test_a_statement_made_from_both_ends_is_drawn_as_often_as_others() -> None:
    one = graph("a part_of b", "b has_part a", "a near c", "c near a", "a r d", part_of="has_part", near="near")
    paths = [path for path in _many(one, 6000, hops=1, start="uniform") if path.edges[0].head == "a"]
    found = Counter((path.edges[0].relation, path.edges[0].tail) for path in paths)
    assert set(found) == {("part_of", "b"), ("near", "c"), ("r", "d")}
    assert within(list(found.values()), [1] * 3)
    # Walked forwards alone, each is said from its own end and both are needed.
    ahead = {path.edges[0].triple for path in _many(one, 300, hops=1, way="forwards")}
    assert ahead == set(stated(one))


def test_a_step_goes_forwards_and_backwards_alike() -> None:
    one = graph("a r b", "a s c", "d r a", "e s a", "b t a")
    paths = [path for path in _many(one, 8000, hops=1, start="uniform") if path.edges[0].head == "a"]
    found = Counter((path.edges[0].relation, path.edges[0].tail) for path in paths)
    assert set(found) == {("r", "b"), ("s", "c"), ("inverse of r", "d"), ("inverse of s", "e"), ("inverse of t", "b")}
    assert within(list(found.values()), [1] * 5)


def test_the_second_step_is_uniform_over_pairs_that_lead_away() -> None:
    # From a by way of b: two relations to c, one to d, and none back to a.
    one = graph("a r b", "a s b", "b r c", "b s c", "d r b")
    walks = [path for path in _many(one, 12_000, hops=2, hop_weights=(0, 1), start="uniform") if path.nodes[0] == "a"]
    found = Counter((path.edges[1].relation, path.edges[1].tail) for path in walks)
    assert set(found) == {("r", "c"), ("s", "c"), ("inverse of r", "d")}
    assert within(list(found.values()), [1] * 3)


def test_a_step_is_uniform_at_a_hub_and_behind_what_was_visited() -> None:
    hub = star(100)
    walks = PathSampler(hub, hops=2, hop_weights=(0, 1), eps=1e12, start="uniform").walks(40_000)
    # Every path of two hops goes leaf, hub, leaf; the last is any other leaf alike.
    assert set(walks.nodes[:, 1].tolist()) == {0}
    apart = (walks.nodes[:, 2] - walks.nodes[:, 0]) % 100
    # Neither the draws at the hub nor the look through all its edges prefers a leaf.
    assert 0 not in apart
    assert within(np.bincount(apart, minlength=100)[1:], [1] * 99)


def test_lengths_are_drawn_first_and_dead_ends_do_not_make_long_paths_rare() -> None:
    # Half of the nodes are pairs with no path beyond one hop: two of three draws of a long path fail.
    pairs = [f"x{one} r y{one}" for one in range(40)]
    ring = [f"n{one} r n{(one + 1) % 20}" for one in range(20)]
    sampler = PathSampler(graph(*pairs, *ring), hops=3)
    walks = sampler.walks(9000)
    assert sampler.tries > 12_000
    assert within(np.bincount(walks.hops)[1:], [1, 1, 1])


def test_lengths_follow_their_weights() -> None:
    walks = PathSampler(graph(*WHEEL), hops=3, hop_weights=(1, 0, 3)).walks(4000)
    lengths = np.bincount(walks.hops, minlength=4)
    assert lengths[2] == 0
    assert within(lengths[[1, 3]], [1, 3])


# What counts ---------------------------------------------------------------------------------------------------------


@given(TRIPLES, st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 5))
def test_every_node_of_an_accepted_path_is_counted_and_none_of_a_released_one(
    triples: list[Plain], accepted: list[bool], seed: int
) -> None:
    sampler = PathSampler(graph(*triples, "a r b"), seed=seed, hops=1)
    paths = sampler.batch(len(accepted))
    assert counts(sampler) == nodes_of(paths)
    for path, kept in zip(paths, accepted, strict=True):
        (sampler.commit if kept else sampler.release)(path)
    kept_paths = [path for path, kept in zip(paths, accepted, strict=True) if kept]
    assert counts(sampler) == nodes_of(kept_paths)
    assert sampler.coverage.paths == len(kept_paths)
    assert sampler.coverage.covered == len(nodes_of(kept_paths))


def test_middles_and_ends_are_counted_as_sources_are() -> None:
    sampler = PathSampler(graph(*WHEEL), hops=3, hop_weights=(0, 0, 1))
    path = sampler.sample()
    assert len(path.nodes) == 4
    assert counts(sampler) == Counter(path.nodes)


def test_a_path_is_committed_or_released_once() -> None:
    sampler = PathSampler(graph(*WHEEL))
    path = sampler.sample()
    sampler.release(path)
    for again in (sampler.commit, sampler.release):
        with pytest.raises(ValueError, match="is not waiting here: commit or release each drawn path once"):
            again(path)
    with pytest.raises(ValueError, match="is not waiting here"):
        sampler.commit(PathSampler(graph(*WHEEL), seed=9).sample())


def test_in_the_long_run_balanced_sources_are_more_even_than_uniform_ones() -> None:
    generator = np.random.default_rng(3)
    # Few hubs and many leaves, as graphs of knowledge are.
    ends = (generator.pareto(1.2, (1200, 2)) * 8).astype(int) % 400
    one = graph(*((f"n{a:03d}", "r", f"n{b:03d}") for a, b in ends.tolist() if a != b))
    found = {}
    for start in ("balanced", "uniform"):
        sampler = PathSampler(one, seed=1, start="balanced" if start == "balanced" else "uniform")
        sampler.walks(4000)
        found[start] = sampler.coverage
    assert found["balanced"].gini < found["uniform"].gini - 0.02
    assert found["balanced"].covered >= found["uniform"].covered


def test_the_same_walk_drawn_again_is_another_record() -> None:
    sampler = PathSampler(graph("a r b"), hops=1)
    paths = sampler.batch(9)
    assert len({path.id for path in paths}) == 9
    ways = {way: [path.repeat for path in paths if path.edges[0].head == way] for way in "ab"}
    assert all(repeats == list(range(len(repeats))) for repeats in ways.values())


# What never happens --------------------------------------------------------------------------------------------------


@given(TRIPLES, st.integers(0, 9), st.integers(1, 4))
def test_a_path_is_a_walk_of_true_statements_that_comes_to_no_node_twice(
    triples: list[Plain], seed: int, hops: int
) -> None:
    one = graph(*triples, "a r b", r="has_r")
    sampler = PathSampler(one, seed=seed, hops=hops, max_tries=500)
    try:
        paths = sampler.batch(20)
    except InputError:
        event("no path of the length drawn")
        return
    for path in paths:
        assert len(set(path.nodes)) == len(path.nodes) == path.hops + 1 <= hops + 1
        assert all(first.tail == second.head for first, second in pairwise(path.edges))
        for edge in path.edges:
            assert edge.triple in stated(one)
            labels = {"r": "has_r", "s": "inverse of s", "t": "inverse of t"}
            assert edge.inverse == (edge.relation == labels.get(edge.stated))


def test_edges_are_not_walked_backwards_where_that_is_said() -> None:
    paths = _many(graph(*WHEEL), 300, way="forwards")
    assert not any(edge.inverse for path in paths for edge in path.edges)
    assert any(edge.inverse for path in _many(graph(*WHEEL), 300) for edge in path.edges)


def test_excluded_and_taxonomic_relations_never_appear() -> None:
    one = graph(*WHEEL, "n0 isa kind", "n1 isa kind", "n2 bad n4")
    walked = {edge.stated or edge.relation for path in _many(one, 500, exclude=("bad",)) for edge in path.edges}
    assert walked == {"r"}
    walked = {edge.stated or edge.relation for path in _many(one, 500, exclude_taxonomic=False) for edge in path.edges}
    assert walked == {"r", "isa", "bad"}


def test_a_loop_is_never_walked() -> None:
    found = {path.nodes for path in _many(graph("a r a", "a r b", "a s a"), 200, hops=1)}
    assert found == {("a", "b"), ("b", "a")}


# Determinism ---------------------------------------------------------------------------------------------------------


@given(TRIPLES, st.integers(0, 3))
def test_the_same_seed_draws_the_same_paths_however_they_are_asked_for(triples: list[Plain], seed: int) -> None:
    one = graph(*triples, "a r b")

    def fresh() -> PathSampler:
        return PathSampler(one, seed=seed, hops=1)

    sampler = fresh()
    singly = [sampler.sample() for _ in range(7)]
    assert fresh().batch(7) == singly
    bulk = fresh()
    walks = bulk.walks(7)
    assert [bulk.path(walks, at) for at in range(7)] == singly
    assert PathSampler(one, seed=seed + 10, hops=1).batch(30) != fresh().batch(30) or one.edges < 3


@pytest.mark.parametrize("size", [1, 3, 8])
def test_paths_do_not_depend_on_the_size_of_the_batches(size: int) -> None:
    one = graph(*WHEEL, "n0 s n3", "n1 r lone")
    sampler, whole = PathSampler(one, seed=4), PathSampler(one, seed=4).batch(24)
    drawn = [path for _ in range(24 // size) for path in sampler.batch(size)]
    assert [path.id for path in drawn] == [path.id for path in whole]


def test_what_was_released_changes_nothing_but_the_number_of_the_next_draw() -> None:
    first, second = PathSampler(graph(*WHEEL)), PathSampler(graph(*WHEEL))
    for path in first.batch(5):
        first.release(path)
    second.drawn = 5
    assert first.sample().edges == second.sample().edges


def test_a_draw_does_not_depend_on_the_order_of_commits_and_releases() -> None:
    one = graph(*(f"n{a} r n{(a * 7 + 1) % 90}" for a in range(90)))
    after = []
    for order in (1, -1):
        sampler = PathSampler(one)
        paths = sampler.batch(40)
        for at, path in list(enumerate(paths))[::order]:
            (sampler.commit if at % 3 else sampler.release)(path)
        after.append([path.id for path in sampler.batch(20)])
    assert after[0] == after[1]


def test_drawn_paths_are_pinned() -> None:
    # A change of these values makes all paths of all bills anew.
    nodes = [path.nodes for path in PathSampler(graph(*WHEEL), seed=0).batch(4)]
    assert nodes == [("n3", "n2"), ("n3", "n2", "n1", "n0"), ("n5", "n0"), ("n3", "n2")]


def test_without_numba_the_same_paths_are_drawn() -> None:
    code = (
        "import sys\nBLOCK\n"
        "from tests.kg.graphs import graph, star\nfrom kg.sample import PathSampler\n"
        "from kg import sample_kernel\n"
        "one = graph(*(f'n{a} r{a % 3} n{(a * 7 + 1) % 30}' for a in range(30)))\n"
        "for made in (one, star(80)):\n"
        "    s = PathSampler(made, hops=2, seed=5)\n"
        "    paths = s.batch(60)\n"
        "    s.release(paths[3])\n"
        "    print([p.nodes for p in paths], s.walks(40).nodes.tolist(), s.tries)\n"
        "print(type(sample_kernel.draw).__name__, file=sys.stderr)\n"
    )
    pytest.importorskip("numba")
    ran = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code.replace("BLOCK", block)],
            capture_output=True,
            text=True,
            check=True,
        )
        for block in ("", "sys.modules['numba'] = None")
    ]
    assert [one.stderr.strip() for one in ran] == ["CPUDispatcher", "function"]
    assert ran[0].stdout == ran[1].stdout


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("triples", "settings", "message"),
    [
        ([], {}, "the graph has no edges; there is nothing to walk"),
        (["a isa b"], {}, "the graph has 1 edges, all of excluded relations; .*exclude less"),
        (["a r b"], {"exclude": ("s",)}, "no relation is called 's'"),
        (["a made_by b"], {"exclude": ("mad_by",)}, r"did you mean made_by\?"),
        (["a r a"], {"hops": 1, "max_tries": 10}, "no path of 1 hops was found from 10 sources"),
        (["a r b"], {"hops": 2, "hop_weights": (0, 1), "max_tries": 10}, "no path of 2 hops .*lower `hops`"),
    ],
)
def test_a_graph_without_the_paths_asked_for_says_so(triples: list[str], settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PathSampler(graph(*triples), **settings).sample()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hops": 0}, "hops is 0; the longest path has 1 to 32"),
        ({"hops": 2, "hop_weights": (1,)}, "hop_weights has 1 numbers; wanted one for each of 2 hops"),
        ({"hops": 1, "hop_weights": (0,)}, "weights are 0 or more and not all 0"),
        ({"hops": 1, "hop_weights": (float("nan"),)}, "weights are 0 or more"),
        ({"eps": 0}, "eps is 0; it is more than 0"),
        ({"max_tries": 0}, "max_tries is 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PathSampler(graph("a r b"), **settings)


def test_a_graph_in_parts_is_walked_in_all_of_them() -> None:
    paths = _many(graph("a r b", "b r c", "x r y", "lone r lone"), 400, hops=1)
    assert set(nodes_of(paths)) == {"a", "b", "c", "x", "y"}


def test_a_hub_of_a_million_is_not_looked_through_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    hub = star(1_000_000)
    sampler = PathSampler(hub, hops=2)
    # 20,000 paths over the hub would look at 10^10 edges one by one: minutes, and no test waits so long.
    walks = sampler.walks(20_000)
    assert set(walks.hops.tolist()) == {1, 2}
    assert np.count_nonzero(walks.nodes[:, 2] > 0) > 5000
    assert len(np.unique(walks.nodes[walks.hops == 2][:, 2])) > 5000


def test_when_all_neighbours_of_a_hub_but_one_were_visited_that_one_is_found() -> None:
    # 200 parallel edges lead back to where the path came from, and one leads on.
    names = pa.array(["a", "b", "c"], pa.large_string())
    many = relations_of([f"r{number:03d}" for number in range(200)])
    head = np.concatenate([np.zeros(200, int), [1]])
    relation, tail = np.concatenate([np.arange(200), [0]]), np.concatenate([np.ones(200, int), [2]])
    one = Graph.build(names, many, head, relation, tail)
    walks = PathSampler(one, hops=2, hop_weights=(0, 1)).walks(300)
    assert {tuple(row) for row in walks.nodes.tolist()} == {(0, 1, 2), (2, 1, 0)}


# Coverage ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_gini_is_the_mean_difference_over_twice_the_mean(values: list[int]) -> None:
    found = np.array(values)
    mean = found.mean()
    wanted = np.abs(found[:, None] - found[None, :]).mean() / (2 * mean) if mean else 0.0
    assert gini(found) == pytest.approx(wanted, abs=1e-9)


@given(TRIPLES, st.integers(0, 3))
def test_coverage_is_what_the_paths_cover(triples: list[Plain], seed: int) -> None:
    one = graph(*triples, "a r b")
    sampler = PathSampler(one, seed=seed, hops=1)
    walks = sampler.walks(25)
    found = sampler.coverage
    paths = [tuple(node for node in row if node >= 0) for row in walks.nodes.tolist()]
    seen = [len({node for path in paths[: at + 1] for node in path}) for at in range(25)]
    assert [round(share * found.reachable) for _, share in found.curve] == seen
    assert (found.paths, found.covered, found.distinct) == (25, seen[-1], len(set(paths)))
    assert found.hops == {1: 25}
    assert found.paths_until(1.1) is None
    # The Gini coefficient is one less twice the area under the Lorenz curve.
    x, y = np.array(found.lorenz).T
    assert found.gini == pytest.approx(1 - 2 * np.trapezoid(y, x), abs=1e-6)


def test_no_paths_cover_nothing() -> None:
    found = Coverage.of([], nodes=3, reachable=3)
    assert (found.paths, found.covered, found.share, found.gini, found.curve) == (0, 0, 0.0, 0.0, ())
    assert found.distinct_share == 1.0


def _many(one: Graph, count: int, **settings: Any) -> list[Path]:
    sampler = PathSampler(one, **{"hops": 1 if one.nodes < 4 else 3, **settings})
    walks = sampler.walks(count)
    return [sampler.path(walks, at) for at in range(count)]
