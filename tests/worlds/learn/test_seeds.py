from worlds.learn.seeds import stream


def test_same_names_same_draws_and_different_names_different_ones() -> None:
    first = stream(7, "likes", "learned").normal(size=4).tolist()
    assert stream(7, "likes", "learned").normal(size=4).tolist() == first
    for other in (stream(8, "likes", "learned"), stream(7, "likes", "historical")):
        assert other.normal(size=4).tolist() != first
    assert stream(7, "ab", "c").normal() != stream(7, "a", "bc").normal()
