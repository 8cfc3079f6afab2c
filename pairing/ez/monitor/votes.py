"""What was heard for each place of a record, when some of it was heard wrongly."""

MAX_SCORE = 4


class Votes:
    """Per place the value that leads: each hearing counts for its value, and against the one that leads.

    `size` bounds the places: those at or beyond it are ignored.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._leading: dict[int, tuple[int, int]] = {}

    def put(self, place: int, value: int) -> bool:
        """Whether another value leads now."""
        if not 0 <= place < self._size:
            return False
        led, score = self._leading.get(place, (value, 0))
        if led == value:
            self._leading[place] = led, min(score + 1, MAX_SCORE)
        else:
            self._leading[place] = (led, score - 1) if score > 1 else (value, 1)
        return score == 0 or self._leading[place][0] != led

    def get(self, place: int) -> int | None:
        found = self._leading.get(place)
        return None if found is None else found[0]

    def whole(self, start: int, stop: int, *, lead: int = 1) -> list[int] | None:
        """The values of these places; None while one is missing, or does not lead by as much."""
        found = [self._leading.get(place, (0, 0)) for place in range(start, stop)]
        return [value for value, _ in found] if all(score >= lead for _, score in found) else None

    def clear(self) -> None:
        self._leading.clear()
