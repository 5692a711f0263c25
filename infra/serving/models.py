"""The models that are served: loaded, lent to requests, and exchanged when an alias moves.

A request borrows the model that has the alias when it comes, and keeps it to its end. A model whose
alias went elsewhere is closed when the last request has given it back: none is lost, none is mixed.
"""

import logging
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from components.core.settings import settings
from components.lib.inference.engines import open_engine, tokenizer_of
from components.lib.inference.generation import Engine
from components.lib.text.chat_tokenizer import ChatTokenizer
from components.release.registry import ALIAS
from infra.serving.found import Absent, Found, Wish, find, refuse_damaged
from infra.serving.options import Limits
from infra.serving.refusals import Refusal

logger = logging.getLogger(__name__)


class ServedModel:
    """A loaded model, which is closed once it is retired and nobody has it."""

    def __init__(self, found: Found, engine: Engine, tokenizer: ChatTokenizer) -> None:
        """Keep what was loaded."""
        self.found, self.engine, self.tokenizer = found, engine, tokenizer
        self._lock = threading.Lock()
        self._borrowers = 0
        self._is_retired = False

    @contextmanager
    def borrowed(self) -> Generator["ServedModel"]:
        """Keep the model open as long as the block runs."""
        with self._lock:
            self._borrowers += 1
        try:
            yield self
        finally:
            with self._lock:
                self._borrowers -= 1
                is_last = self._is_retired and self._borrowers == 0
            if is_last:
                self._close()

    def retire(self) -> None:
        """Close the model when the last borrower gives it back."""
        with self._lock:
            self._is_retired = True
            is_free = self._borrowers == 0
        if is_free:
            self._close()

    def _close(self) -> None:
        """Close in another thread: the engine's last step is waited for."""
        logger.info("%s is let go of", self.found.label)
        threading.Thread(target=self.engine.close, name="closing", daemon=True).start()


class _Place:
    """What is served under a name."""

    def __init__(self, wished: Wish, is_optional: bool) -> None:
        self.wished, self.is_optional = wished, is_optional
        self.model: ServedModel | None = None
        self.trouble = "it is being loaded"
        self.refused: Found | None = None  # what did not load is not tried twice
        self.num_swaps = 0


class Models:
    """All served models by name, and the thread that follows their aliases."""

    def __init__(
        self, wishes: Sequence[Wish], limits: Limits, optional: Sequence[Wish] = ()
    ) -> None:
        """Serve these; none is loaded yet. Those that are `optional` may have no version."""
        names = [each.name for each in wishes]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"Two models are called {sorted(doubled)}: say NAME=FOLDER for one.")
        known = {each.name: each for each in (*optional, *wishes)}
        order = dict.fromkeys([*names, *known])  # the first is the default
        self._places = {name: _Place(known[name], name not in names) for name in order}
        self._limits = limits
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="aliases", daemon=True)

    def load(self, waits: bool = False) -> None:
        """Load every model, and follow the aliases from now on.

        Raises:
            ValueError: none of them loads, and nobody `waits` for one.
        """
        for place in self._places.values():
            self._renew(place)
        needed = [place for place in self._places.values() if not place.is_optional]
        if not waits and not any(place.model for place in needed):
            raise ValueError(" ".join(place.trouble for place in needed))
        if any(place.wished.registered for place in self._places.values()):
            self._watcher.start()

    def names(self) -> list[str]:
        """Return how requests call the models, the first one is the default."""
        return list(self._places)

    def needed(self) -> list[str]:
        """Return the names that must be served."""
        return [name for name, place in self._places.items() if not place.is_optional]

    def has(self, name: str) -> bool:
        """Return whether a model of this name is loaded."""
        place = self._places.get(name)
        return place is not None and place.model is not None

    def loaded(self) -> list[ServedModel]:
        """Return the models that new requests get now."""
        with self._lock:
            return [place.model for place in self._places.values() if place.model is not None]

    def troubles(self) -> dict[str, str]:
        """Return why a name is not served, or not by the version that it should be."""
        return {name: place.trouble for name, place in self._places.items() if place.trouble}

    def num_swaps(self) -> dict[str, int]:
        """Return how often each name got another version."""
        return {name: place.num_swaps for name, place in self._places.items()}

    def known(self, name: str) -> str:
        """Return the name under which a model is served; without a name the first.

        Raises:
            Refusal: there is none.
        """
        found = name.removesuffix(f"@{ALIAS}") or next(iter(self._places))
        if found not in self._places:
            names = ", ".join(self._places)
            message = f"There is no model {name!r} here. There are: {names}."
            raise Refusal(404, message, "model_not_found", "model")
        return found

    @contextmanager
    def borrowed(self, name: str) -> Generator[ServedModel]:
        """Lend the model of a known name as long as the block runs.

        Raises:
            Refusal: it could not be loaded.
        """
        with self._lock:
            place = self._places[name]
            if place.model is None:
                message = f"{place.wished.name} is not served: {place.trouble}"
                raise Refusal(503, message, "model_not_loaded", "model", retry_after=10)
            lease = place.model.borrowed()
            model = lease.__enter__()  # under the lock: it is not retired in between
        try:
            yield model
        finally:
            lease.__exit__(None, None, None)

    def close(self) -> None:
        """Close all models; answers that are not complete end with an error."""
        self._stopping.set()
        for model in self.loaded():
            model.engine.close()

    def _watch(self) -> None:
        while not self._stopping.wait(self._limits.poll_seconds):
            for place in self._places.values():
                if place.wished.registered and not self._stopping.is_set():
                    self._renew(place)

    def _renew(self, place: _Place) -> None:
        """Load what a name means now, if that is another than before."""
        try:
            found = find(place.wished)
        except Absent as error:
            self._note(place, f"{error}")
            if place.is_optional:
                self._exchange(place, None)
            return
        except Exception as error:  # MLflow is away: what is served stays
            self._note(place, f"{error}")
            return
        if found == place.refused:
            return
        if place.model is not None and place.model.found == found:
            place.trouble, place.refused = "", None
            return
        try:
            model = self._opened(found)
        except Exception as error:  # each runtime has errors of its own for a damaged file
            place.refused = found
            self._note(place, f"{found.folder} does not load: {error}")
            return
        place.trouble, place.refused = "", None
        self._exchange(place, model)
        logger.info("%s is served from %s", found.label, found.folder)

    def _exchange(self, place: _Place, model: ServedModel | None) -> None:
        with self._lock:
            before, place.model = place.model, model
            place.num_swaps += before is not None
        if before is not None:
            before.retire()

    def _opened(self, found: Found) -> ServedModel:
        refuse_damaged(found)
        tokenizer, limits = ChatTokenizer(tokenizer_of(found.folder)), self._limits
        engine = open_engine(
            found.folder,
            limits.num_slots,
            settings().num_threads,
            limits.cache_bytes,
            limits.chunk,
        )
        return ServedModel(found, engine, tokenizer)

    def _note(self, place: _Place, trouble: str) -> None:
        if place.trouble != trouble:
            logger.warning("%s: %s", place.wished.name, trouble)
        place.trouble = trouble
