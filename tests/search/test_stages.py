"""Stages: one of a caller's own, what an answer tells of them, and how deep they look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from lookalike import Id, Picture, UsageError, Words


@dataclass
class Diverse:
    """Maximal marginal relevance: near to the query, and far from what was taken before it."""

    weight: float = 0.5
    name: str = "diverse"

    def depth(self, k):
        """Five times as many."""
        return 5 * k

    def order(self, candidates, query, space):
        """The next is always the one that is nearest to the query and farthest from those taken."""
        assert space.metric == "cosine"
        assert query.vector.shape == (space.dim,)
        vectors = candidates.vectors()
        left, taken = list(range(len(candidates))), []
        near = np.zeros(len(candidates))
        while left:
            gain = [candidates[i].score - self.weight * near[i] for i in left]
            best = left.pop(int(np.argmax(gain)))
            taken.append(candidates[best]._replace(score=max(gain)))
            near = np.maximum(near, vectors @ vectors[best])
        return taken


@dataclass
class Even:
    """Only pictures whose id is an even number."""

    drops: bool = True

    def depth(self, k):
        """As many."""
        return k

    def order(self, candidates, query, space):  # noqa: ARG002
        """Those with an even number."""
        return [candidate for candidate in candidates if int(candidate.id) % 2 == 0]


QUERY = np.array([1, 0], np.float32)


def test_a_stage_of_ones_own(rows):
    """Diversity in twenty lines: handed over with the search, and nothing else is touched."""
    plain = rows.search(QUERY, 3)
    assert [hit.id for hit in plain] == ["00", "01", "02"]
    diverse = rows.search(QUERY, 3, stages=[Diverse(weight=2)])
    assert diverse[0].id == "00"
    assert diverse[1].id == "14"  # the last of the fifteen that it was given
    assert diverse.stages == ("nearest", "diverse")
    assert diverse[0].score == pytest.approx(plain[0].score)


def test_a_stage_that_drops_is_given_more(rows):
    """It is asked again with more candidates until it gives as many as are wanted."""
    hits = rows.search(QUERY, 6, stages=[Even()])
    assert [hit.id for hit in hits] == ["00", "02", "04", "06", "08", "10"]
    assert len(rows.search(QUERY, 30, stages=[Even()])) == 15
    fewer = rows.search(QUERY, 6, stages=[Even(drops=False)])
    assert [hit.id for hit in fewer] == ["00", "02", "04"]


def test_stages_work_behind_each_other(rows):
    """Those of the options come first, the caller's own next, and the least score last."""
    rows.update({f"{i:02}": {"lot": i // 3, "kind": "even" if i % 2 else "odd"} for i in range(30)})
    hits = rows.search(
        QUERY, 4, distinct="lot", unique=True, rerank="kind=odd", stages=[Even()], min_score=0.5
    )
    assert hits.stages == (
        "nearest", "distinct lot, digest", "text likeness kind", "Even", "score >= 0.5",
    )  # fmt: skip
    assert [hit.id for hit in hits] == ["00", "06", "12", "18"]
    assert set(hits[0].scores) == {"vector", "kind"}


def test_words_go_through_stages(gallery):
    """Candidates may come from classes and names, too: the stages are the same."""
    gallery.update({name: {"lot": 1} for name in ("red.png", "orange.png")})
    assert [hit.id for hit in gallery.search("red", 2)] == ["red.png", "orange.png"]
    hits = gallery.search(Words("red"), distinct="lot", min_score=0.1)
    assert [hit.id for hit in hits if hit.id in {"red.png", "orange.png"}] == ["red.png"]
    assert hits.stages == ("classes and names", "distinct lot", "score >= 0.1")
    assert gallery.find("red", only="text").stages == ("names",)


def test_a_picture_removed_while_a_stage_looks(rows):
    """Its vector is zeros to the stage, and the next page of the answer leaves it out."""

    class Removing(Diverse):
        """One that looks at vectors too late."""

        def order(self, candidates, query, space):  # noqa: ARG002
            """Another process takes the second out."""
            rows.remove([candidates[1].id])
            vectors = candidates.vectors()
            assert not vectors[1].any()
            assert vectors[[0, 2]].any(axis=1).all()
            return candidates[:]

    hits = rows.search(QUERY, 3, stages=[Removing()])
    assert [hit.id for hit in hits] == ["00", "01", "02"]
    assert [(hit.rank, hit.id) for hit in hits.page(0, 3)] == [(1, "00"), (3, "02")]
    assert hits.page(0, 3).notes == ("1 of these pictures is not in the gallery any more",)


def test_a_page_keeps_its_ranking(rows):
    """A picture that comes, one that goes and one that changes shift nothing; what went is noted."""
    hits = rows.search(QUERY, 12, limit=4)
    assert ([hit.id for hit in hits], hits.total) == (["00", "01", "02", "03"], 12)
    rows.add_vectors((["new"], np.array([[1, 0]], np.float32)))
    rows.remove(["05"])
    rows.update({"06": {"title": "Six"}})
    page = hits.page(4, 4)
    assert [(hit.rank, hit.id) for hit in page] == [(5, "04"), (7, "06"), (8, "07")]
    assert page.notes == ("1 of these pictures is not in the gallery any more",)
    assert page[1].metadata == {"title": "Six"}
    assert (page.total, page.stages, page.query) == (12, hits.stages, hits.query)
    assert [hit.id for hit in page.page(8, 100)] == ["08", "09", "10", "11"]
    assert [hit.id for hit in page.page(0, 2)] == ["00", "01"]
    assert len(hits.page(12, 5)) == 0
    for offset, limit in ((-1, 5), (0, 0)):
        with pytest.raises(UsageError, match="expected 0 or more, and 1 or more"):
            hits.page(offset, limit)


def test_a_page_is_shown_as_the_answer_is(rows):
    """Fields and tags asked for stay; JSON has the size, the digest, the notes and the stages."""
    hits = rows.search(QUERY, 6, limit=2).showing(["lot"], tags=False)
    page = hits.page(2, 2)
    assert (page.show, page.with_tags) == (("lot",), False)
    answer = page.as_dict()
    assert (answer["stages"], answer["notes"]) == (["nearest"], [])
    assert {"width", "height", "digest"} < set(answer["hits"][0])


def test_a_hit_has_size_and_digest(gallery):
    """They are those of the file, the digest in hexadecimal digits."""
    hit = gallery.search(Id("red.png"), 1)[0]
    (record,) = gallery.records(where=f"name={hit.id}")
    assert (hit.width, hit.height, hit.digest) == (12, 8, record.digest.hex())


def test_words_are_paged(gallery, root):
    """Pages of words go by their ranking, too, after the files have changed."""
    hits = gallery.search("red", 5, limit=1)
    (root / "orange.png").unlink()
    gallery.add()
    page = hits.page(1, 4)
    assert "orange.png" not in [hit.id for hit in page]
    assert page.notes[-1] == "1 of these pictures is not in the gallery any more"
    assert [hit.id for hit in gallery.search(Picture(root / "red.png"), 5, limit=2).page(2, 1)]
