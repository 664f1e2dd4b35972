"""Ids of hosts as integers, and back."""

from __future__ import annotations

from vtlab.tracks import IdMap, Record, Tracks


def test_ids_of_any_kind_become_integers_and_are_said_again():
    hosts = ["b7f3", 5, "12", 2**70, -1, "5", "007", "b7f3", 0]
    ids = IdMap(hosts)
    assert len(ids) == 8
    assert (ids[5], ids["12"]) == (5, 12)
    assert sorted(ids.ids().values()) == [1, 2, 3, 4, 5, 6, 7, 12]
    assert all(ids.host(ids[h]) == h and type(ids.host(ids[h])) is type(h) for h in hosts)
    assert ids.host(99) == 99
    kept = IdMap.of(Record.of(Record(id_map=ids.entry()).to_dict()))
    assert all(str(kept.host(ids[h])) == str(h) for h in hosts)
    assert IdMap([1, 2, 3]).entry() is None


def test_the_map_follows_renamed_objects():
    ids = IdMap(["left", "right"])
    made = Tracks.of([0, 0], [ids["left"], ids["right"]], record=Record(id_map=ids.entry())).renamed({2: 9})
    assert IdMap.of(made.record).host(9) == "right"
