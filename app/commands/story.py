"""How a long act is told: chapters and steps, each with its time, as they happen."""

from time import monotonic

from app.commands.terminal import event, plain


class Story:
    """Seconds are counted from its making; `chapter` is the one being told."""

    def __init__(self) -> None:
        self._began = monotonic()
        self.chapter = ""

    @property
    def seconds(self) -> float:
        """Since it began."""
        return monotonic() - self._began

    def begin(self, chapter: str) -> None:
        """What follows belongs together; the name is told again if it fails."""
        self.chapter = chapter
        event({"event": "chapter", "at": self._at(), "title": chapter}, f"\n[bold cyan]{plain(chapter)}[/]")

    def step(self, text: str, **facts: object) -> None:
        """Something has happened now."""
        shown = "  ".join(f"{key}={value}" for key, value in facts.items())
        line = f"[dim]{self.seconds:7.3f} s[/]  {plain(text)}" + (f"  [dim]{plain(shown)}[/]" if shown else "")
        event({"event": "step", "at": self._at(), "text": text, **facts}, line)

    def _at(self) -> float:
        return round(self.seconds, 3)
