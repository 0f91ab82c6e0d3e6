"""The states of a batch's streams while its commands are decided, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from events.envelope import Fact

S = TypeVar("S")


class Unfolding(Mapping[str, S]):
    """States by stream, as they are after all facts decided so far.

    A fact is folded when somebody looks at its stream: of an import hardly any is looked at again. `looked` is set
    whenever anybody does.
    """

    def __init__(self, evolve: Callable[[S, Fact], S]) -> None:
        self._evolve = evolve
        self._states: dict[str, S] = {}
        self._ahead: dict[str, list[Fact]] = {}  # What the states do not tell yet.
        self.looked = False

    def load(self, states: Iterable[tuple[str, S]]) -> None:
        self._states.update(states)

    def follow(self, stream: str, facts: Sequence[Fact]) -> None:
        """Have facts follow those of a stream that was loaded."""
        assert stream in self._states, f"{stream} was decided on and not loaded"
        if (ahead := self._ahead.get(stream)) is None:
            self._ahead[stream] = list(facts)
        else:
            ahead.extend(facts)

    def __getitem__(self, stream: str) -> S:
        self.looked = True
        if stream in self._ahead:
            state = self._states[stream]
            for fact in self._ahead.pop(stream):
                state = self._evolve(state, fact)
            self._states[stream] = state
        return self._states[stream]

    def __iter__(self) -> Iterator[str]:
        self.looked = True
        return iter(self._states)

    def __len__(self) -> int:
        self.looked = True
        return len(self._states)
