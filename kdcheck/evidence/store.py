"""The store: evidence on MLflow, in a folder of this machine or on a tracking server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcheck.errors import BusyError, EvidenceError
from kdcheck.evidence import files, layout, owner
from kdcheck.evidence.addresses import Addresses
from kdcheck.evidence.database import Presence
from kdcheck.evidence.evidence import Evidence, Predictions
from kdcheck.evidence.failure import Failure
from kdcheck.evidence.faults import explained
from kdcheck.evidence.files import SealedFiles
from kdcheck.evidence.judged import Judged, selected
from kdcheck.evidence.layout import (
    ATTEMPT,
    CLAIMS,
    CURRENT,
    DEATHS,
    LOCK,
    RETRIED,
    SEAL,
    TRAININGS,
    seed_of,
    told,
)
from kdcheck.evidence.note import note
from kdcheck.evidence.taking import (
    Begun,
    deaths_of,
    failed_before,
    failure_of,
    given_up,
    require_free,
)
from kdcheck.evidence.tracking import FINISHED, NO_STORE, Tracking
from kdcheck.evidence.unfinished import new_folder
from kdcheck.evidence.views import IN_FORCE
from kdcheck.places import Location
from kdcheck.recipe import Recipe

if TYPE_CHECKING:
    from mlflow.entities import Run

FAILED = "attributes.status = 'FAILED'"
LOCK_TIMEOUT_SECONDS = 300
"""Long enough for another process to copy a large checkpoint."""


class Store(Addresses):
    """Evidence by digest, kept in MLflow.

    The controlling process calls :meth:`create` once, workers :meth:`open`. A training is in the
    store only when all of it is: its run is FINISHED last. No call reads or sets MLflow's global
    state, so MLFLOW_RUN_ID and a user's own active run are not touched.
    """

    def __init__(self, location: Location, runs: Tracking) -> None:
        self.location = location
        self.session = uuid.uuid4().hex[:12]
        """Tag ``kdcheck.session`` of what this object writes; set it to share one."""
        self._runs = runs
        self._presence = Presence(location)
        self._known: dict[str, Run] = {}
        self._leases = None if location.is_local else runs.leases()
        self._claims: dict[str, Judged] = {}
        """By seal, which changes with any byte: what a session lists again and again."""

    @classmethod
    def create(cls, place: Location | Path | str, *, rehearsal: bool | None = None) -> Store:
        """Open the store, made first if there is none; also after its folder was moved.

        Rehearsals and evidence have stores of their own: with ``rehearsal`` given, one of the other
        kind is refused, and a new one is marked.
        """
        location = place if isinstance(place, Location) else Location.parse(place)
        with explained(location, "create"):
            runs = Tracking.create(location)
            if rehearsal is not None:
                runs.keep_apart(location, rehearsal=rehearsal)
            return cls(location, runs)

    @classmethod
    def open(cls, place: Location | Path | str) -> Store:
        """Open a store that exists."""
        location = place if isinstance(place, Location) else Location.parse(place)
        with explained(location, "open"):
            return cls(location, Tracking.open(location))

    # Reading

    def digests(self) -> set[str]:
        """Digests of all finished trainings."""
        with self._use("list the trainings"):
            found = self._runs.finished()
        # The oldest stays the one that is read, should two sessions on a server have raced.
        self._known = {told(run, "digest"): run for run in reversed(found)}
        return set(self._known)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        """Evidence of one training; see :meth:`EvidenceSource.get`."""
        with self._use(f"read recipe {digest[:8]}"):
            sealed = self._sealed(self._training(digest))
            return files.read_checked(sealed, digest, trajectory=trajectory)

    def validation(self, digest: str) -> Predictions:
        """Logits of one training on validation text: all that a selection of settings may read.

        No file with logits on test text is opened.
        """
        with self._use(f"read recipe {digest[:8]}"):
            return files.read_validation(self._sealed(self._training(digest)))

    def claims(self, *, paper: str | None = None, scale: str | None = None) -> tuple[Judged, ...]:
        """The current record of each claim; see :meth:`EvidenceSource.claims`."""
        with self._use("list the claims"):
            runs = self._current_claims(paper=paper, scale=scale)
            found = [self._judged(run) for run in runs]
        # The newest of each, should two sessions on a server have raced.
        newest = {(*each.family, each.claim.id): each for each in reversed(found)}
        return selected(newest.values())

    def lock(self, digest: str) -> Mapping[str, Any]:
        """The section of a lock; see :meth:`EvidenceSource.lock`."""
        with self._use(f"read the lock {digest[:8]}"):
            runs = self._runs.search(CLAIMS, f"{FINISHED} AND tags.`{LOCK}` = '{digest}'")
            if not runs:
                raise self._missing(f"claim judged under the lock {digest[:8]}")
            sealed = self._sealed(runs[0])
            return files.check_lock(sealed.who, sealed.read_json(files.LOCK), digest)

    def locks(self) -> set[str]:
        """Digests of the sections under which claims were ever judged here."""
        with self._use("list the locks"):
            found = self._runs.search(CLAIMS, f"{FINISHED} AND tags.`{LOCK}` LIKE '%'")
        return {told(run, LOCK) for run in found}

    def encoders(self) -> dict[str, set[str]]:
        """Digests of the encoders of finished trainings, by name."""
        if not self._known:
            self.digests()
        found: dict[str, set[str]] = {}
        for run in self._known.values():
            found.setdefault(told(run, "encoder"), set()).add(told(run, "encoder_digest"))
        return found

    def trained(self) -> set[tuple[str, str, int]]:
        """Digest of the task, digest of the encoder and seed of each finished training."""
        with self._use("list the trainings"):
            found = self._runs.finished()
        return {(told(r, "task_digest"), told(r, "encoder_digest"), seed_of(r)) for r in found}

    def failures(self) -> dict[str, Failure]:
        """By digest, trainings that failed and are not tried again unless that is asked for."""
        with self._use("list the failed trainings"):
            found = self._runs.search(TRAININGS, FAILED)
        return {told(run, "digest"): failure_of(run) for run in found}

    # Writing

    def begin(
        self, recipe: Recipe, *, role: str, claims: Sequence[str], worker: str
    ) -> Begun | None:
        """Announce a training: a RUNNING run with its tags.

        Its parameters follow when it ends: in a batch of their own they cost milliseconds more.
        An unfinished run of the same recipe is taken up again instead of making another; none if
        the training is in the store already.

        Raises:
            BusyError: another living process trains it.
            FailedBeforeError: it was recorded as failed, or is now: too many processes died of it.
        """
        attempt = uuid.uuid4().hex
        tags = layout.recipe_tags(recipe, role=role, claims=claims)
        tags |= owner.this_process() | owner.controller()
        tags |= {"kdcheck.session": self.session, "kdcheck.worker": worker, ATTEMPT: attempt}
        params = layout.parameters(recipe)
        action = f"begin recipe {recipe.short}"
        with self._use(action), self._lock():
            is_leased = self._leases is None or self._leases.take(recipe.digest)
            states = self._runs.states(TRAININGS, "digest", recipe.digest)
            if "FINISHED" in states:
                return None
            who = f"store {self.location}, {action}"
            # Nearly always there is none, and a search of MLflow costs milliseconds.
            condition = f"tags.digest = '{recipe.digest}'"
            earlier = self._runs.search(TRAININGS, condition) if states else []
            require_free(earlier, is_leased, who)
            if earlier:
                run = earlier[0]
                if reason := given_up(run):
                    self._runs.end(run.info.run_id, "FAILED", reason)
                    raise failed_before(who, reason)
                tags[DEATHS] = str(deaths_of(run))
                self._runs.restart(run.info.run_id)
                self._runs.log(run, tags=tags)
            else:
                run = self._runs.add(TRAININGS, tags)
        return Begun(run=run, recipe=recipe, params=params, attempt=attempt)

    def finish(self, begun: Begun, evidence: Evidence) -> str:
        """Store what a training left: files first, then its metrics, FINISHED last."""
        recipe = begun.recipe
        files.check_evidence_of(recipe, evidence)
        rows = layout.metric_rows(evidence)
        with (
            self._use(f"finish recipe {recipe.short}"),
            new_folder(self.location) as folder,
        ):
            files.write_evidence(folder, evidence)
            tags = {SEAL: files.seal(folder), "weights_digest": evidence.weights_digest}
            tags |= {"test_logits": files.kept_of_test(evidence)}
            with self._lock():
                self._require_own(begun)
                self._runs.put(begun.run, folder)
                self._runs.finish(begun.run, params=begun.params, tags=tags, metrics=rows)
        return begun.run_id

    def fail(self, begun: Begun, reason: str, *, status: str = "FAILED") -> None:
        """Say why a training ended: FAILED, by its own fault, or KILLED and to be taken up again."""
        with self._use(f"mark recipe {begun.recipe.short} as {status}"), self._lock():
            self._require_own(begun)
            self._runs.log(begun.run, params=begun.params)
            self._runs.end(begun.run_id, status, reason)
            if self._leases is not None:
                self._leases.give_back(begun.recipe.digest)

    def retry(self, digests: Iterable[str], session: str) -> None:
        """Let failed trainings be tried again, once for each session however many processes it has."""
        wanted = set(digests)
        with self._use("let failed trainings be tried again"), self._lock():
            for run in self._runs.search(TRAININGS, FAILED):
                tags = run.data.tags
                if tags["digest"] in wanted and tags.get(RETRIED) != session:
                    self._runs.log(run, tags={RETRIED: session, DEATHS: "0"})
                    self._runs.end(run.info.run_id, "KILLED", "to be tried again")

    def leave(self) -> None:
        """Say that this process trains no more, so that others need not wait for it."""
        if self._leases is not None:
            with self._use("leave"):
                self._leases.leave()

    def reap(
        self, alive: Callable[[Mapping[str, str]], bool | None] = owner.owner_is_alive
    ) -> list[str]:
        """Mark as KILLED what dead processes left RUNNING; where nobody knows, a run is left alone."""
        reaped = []
        with self._use("look for runs of dead processes"), self._lock():
            for name in (TRAININGS, CLAIMS):
                for run in self._runs.search(name, "attributes.status = 'RUNNING'"):
                    tags = run.data.tags
                    if alive(tags) is False and self._is_left(name, tags):
                        reason = f"process {tags.get(owner.PID)} died"
                        self._runs.end(run.info.run_id, "KILLED", reason)
                        reaped += [tags["digest"]] if name == TRAININGS else []
        return reaped

    def _is_left(self, name: str, tags: Mapping[str, str]) -> bool:
        """Whether nobody has taken up a training that a process of this machine left behind."""
        if self._leases is None or name == CLAIMS:
            return True
        is_free = self._leases.take(tags["digest"])
        self._leases.leave()
        return is_free

    def record_claim(self, judged: Judged, lock: Mapping[str, Any] | None = None) -> str:
        """Store a judged claim with links to every run it rests on; nothing if it is so stored.

        The section of the lock that it was held against, if any, goes along.

        One that differs becomes a new run with the tag ``current`` = ``true``; the older ones of the
        same claim, paper and scale stay, with ``false``.
        """
        self.tag_claims({digest: [judged.claim.id] for digest in judged.table.digests()})
        tags = layout.judged_tags(judged, note(judged, self)) | owner.this_process()
        tags |= {"kdcheck.session": self.session} | ({LOCK: judged.lock} if judged.lock else {})
        with (
            self._use(f"record claim {judged.claim.id}"),
            new_folder(self.location) as folder,
        ):
            files.write_claim(folder, judged, lock)
            sealed = files.seal(folder)
            with self._lock():
                # A first record needs no search, which costs milliseconds for each claim.
                known = self._runs.states(CLAIMS, "claim", judged.claim.id)
                older = self._current_claims(*judged.family, judged.claim.id) if known else []
                if older and older[0].data.tags.get(SEAL) == sealed:
                    run, *older = older
                else:
                    run = self._add_claim(judged, folder, {**tags, SEAL: sealed})
                for superseded in older:
                    self._runs.tag(superseded.info.run_id, CURRENT, "false")
        return str(run.info.run_id)

    def describe_claims(self) -> None:
        """Put the board of the current verdicts into the note of their experiment."""
        claims = self.claims()
        with self._use("describe the claims"):
            self._runs.describe(CLAIMS, claims)

    def tag_claims(self, claims: Mapping[str, Iterable[str]]) -> None:
        """Tie finished trainings to the claims they are evidence for; only news is written."""
        if all(
            digest in self._known and layout.claim_tag(claim) in self._known[digest].data.tags
            for digest, ids in claims.items()
            for claim in ids
        ):
            return  # as nearly always: trainings are begun with the claims they serve
        self.digests()
        with self._use("tag the trainings"):
            for digest, ids in claims.items():
                run = self._training(digest)
                earlier = [c for c in run.data.tags.get("claims", "").split(", ") if c]
                tags = layout.claim_tags([*earlier, *ids])
                if not tags.items() <= run.data.tags.items():
                    self._runs.log(run, tags=tags)

    # Helpers

    @contextmanager
    def _use(self, action: str) -> Iterator[None]:
        self._presence.check(action)
        try:
            with explained(self.location, action):
                yield
        finally:
            # sqlite writes into a deleted file without a word, so look once more; and where
            # something was raised, this is the better explanation.
            self._presence.check(action)

    def _lock(self) -> AbstractContextManager[Any]:
        """One writer at a time on this machine, so that looking and writing are one step."""
        if not self.location.is_local:
            return nullcontext()
        from filelock import FileLock

        return FileLock(self.location.folder / "write.lock", timeout=LOCK_TIMEOUT_SECONDS)

    def _training(self, digest: str) -> Run:
        if digest not in self._known:
            found = self._runs.finished(digest)
            if not found:
                raise self._missing(f"finished training {digest[:8]}")
            self._known[digest] = found[0]
        return self._known[digest]

    def _missing(self, what: str) -> EvidenceError:
        next_step = f"Run pytest claims/ to make it. {NO_STORE}"
        return EvidenceError(f"store {self.location}", f"no {what}", "one", next_step)

    def _sealed(self, run: Run) -> SealedFiles:
        who = f"store {self.location}, run {run.info.run_id}"
        return SealedFiles(self._runs.reader(run), told(run, SEAL), who)

    def _judged(self, run: Run) -> Judged:
        seal = told(run, SEAL)
        if seal not in self._claims:
            self._claims[seal] = files.read_claim(self._sealed(run))
        return self._claims[seal]

    def _require_own(self, begun: Begun) -> None:
        status, attempt = self._runs.state(begun.run_id, ATTEMPT)
        if status != "RUNNING" or attempt != begun.attempt:
            raise BusyError(
                f"store {self.location}, recipe {begun.recipe.short}",
                f"a run that is {status} and was taken up by another process",
                "the run as it was begun",
                "Let the other process end; its evidence is the same.",
            )

    def _current_claims(
        self, paper: str | None = None, scale: str | None = None, claim: str | None = None
    ) -> list[Run]:
        """Runs of current claims, of one family or one claim on demand, the newest first."""
        condition = f"{FINISHED} AND {IN_FORCE}"
        for tag, value in (("paper", paper), ("scale", scale), ("claim", claim)):
            condition += "" if value is None else f" AND tags.{tag} = '{value}'"
        return self._runs.search(CLAIMS, condition)[::-1]

    def _add_claim(self, judged: Judged, folder: Path, tags: Mapping[str, str]) -> Run:
        run = self._runs.add(CLAIMS, tags)
        self._runs.put(run, folder)
        rows = layout.judged_metrics(judged)
        params = layout.judged_parameters(judged)
        self._runs.finish(run, params=params, metrics=rows, tags={CURRENT: "true"})
        return run
