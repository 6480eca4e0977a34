"""All users of a server: who comes in, and what each client may run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runtime.clock import Clock
from runtime.randomness import Randomness
from runtime.settings import to_bytes, to_text
from wire.acl.acl_file import AccountsError, AclFile
from wire.acl.log import AclLog
from wire.acl.rules import ParenthesisError, RuleError, Rules, joined_selectors
from wire.acl.selector import Denial, Reason
from wire.acl.user import User
from wire.client_line import client_line
from wire.errors import Error
from wire.session import RESTRICTED, Session
from wire.table import Command, CommandTable

_DEFAULT = b"default"
_REFUSALS = {
    Reason.KEY: b"this user has no permissions to access one of the keys used as arguments",
    Reason.CHANNEL: b"this user has no permissions to access one of the channels used as arguments",
}
_BOTH = (
    "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This "
    "setup is very likely to lead to configuration errors and security holes, please define either an ACL file or "
    "declare users directly in your redis.conf, but not both."
)


class Accounts:
    """The users by name; implements `wire.front.Credentials`."""

    __slots__ = ("_clients", "_clock", "_superuser", "by_name", "file", "log", "random", "rules")

    def __init__(self, table: CommandTable, clients: Iterable[Session], clock: Clock, random: Randomness) -> None:
        self.rules = Rules(table)
        self._clients = clients
        self._clock = clock
        # For passwords that are made up here.
        self.random = random
        # Where users are kept, unless the configuration file has them.
        self.file: AclFile | None = None
        self.log = AclLog()
        self.by_name: dict[bytes, User] = {_DEFAULT: self._new_default()}
        # Not one of them: who runs what our master or our own log says.
        self._superuser = self._new_default()

    def _new_default(self) -> User:
        user = self.rules.new_user(_DEFAULT)
        self.rules.apply(user, [b"on", b"nopass", b"~*", b"&*", b"+@all"])
        return user

    # ---- `wire.front.Credentials`

    @property
    def needed(self) -> bool:
        default = self.by_name[_DEFAULT]
        return not (default.enabled and default.no_password)

    @property
    def has_password(self) -> bool:
        return not self.by_name[_DEFAULT].no_password

    def exists(self, name: bytes) -> bool:
        return name in self.by_name

    def accept(self, session: Session, name: bytes, password: bytes, command: bytes) -> bool:
        user = self.by_name.get(name)
        if user is not None and user.enabled and user.opens_with(password):
            return True
        self._note(session, Denial(Reason.AUTH, command), b"toplevel", name)
        return False

    def admitted(self, session: Session) -> None:
        user = self.by_name[to_bytes(session.user)]
        session.mask = session.mask & ~RESTRICTED if user.unrestricted else session.mask | RESTRICTED

    # ---- judging

    def user_of(self, session: Session) -> User:
        if session.superuser:
            return self._superuser
        return self.by_name[to_bytes(session.user)]

    def denial(self, session: Session, command: Command, argv: Sequence[bytes], context: bytes) -> Denial | None:
        """What forbids the client this command, which is put into the log; None when it may run it."""
        denial = self.user_of(session).denial(command, argv)
        if denial is not None:
            self._note(session, denial, context, to_bytes(session.user))
        return denial

    def forbid(self, session: Session, command: Command, argv: Sequence[bytes]) -> Error | None:
        """The refusal of a client's command; None when its user may run it."""
        context = b"multi" if session.queued >= 0 else b"toplevel"
        denial = self.denial(session, command, argv, context)
        return None if denial is None else Error(b"NOPERM " + refusal(denial))

    def _note(self, session: Session, denial: Denial, context: bytes, username: bytes) -> None:
        now_ms = self._clock.wall_ms()
        self.log.note(denial.reason, context, denial.name, username, client_line(session, [], now_ms), now_ms)

    # ---- changing

    def set_user(self, name: bytes, words: Sequence[bytes]) -> None:
        """ACL SETUSER: make or change a user, whole or not at all; raises RuleError or ParenthesisError."""
        old = self.by_name.get(name)
        user = self.rules.new_user(name) if old is None else old.copy()
        self.rules.apply(user, words)
        self.by_name[name] = user
        self._update_clients(name, user)

    def load_at_start(self, lines: Sequence[Sequence[str]], file: AclFile | None) -> None:
        """The `user` lines of a configuration file, each without that word (`declared.check_last`), or an ACL file.

        Raises AccountsError with what the log is to say.
        """
        if lines and file is not None:
            raise AccountsError(_BOTH)
        users: dict[bytes, User] = {}
        for line in lines:
            name, *words = map(to_bytes, line)
            user = users[name] = self.rules.new_user(name)
            try:
                self.rules.apply(user, words)
            except RuleError as error:
                wrong = f"Error loading ACL rule '{to_text(error.word)}' for the user named '{line[0]}'"
                raise AccountsError(f"{wrong}: {error.reason.decode()}") from None
        self.by_name |= users
        self.file = file
        if file is not None:
            try:
                self.load(file.read(), file.path)
            except AccountsError as error:
                raise AccountsError(f"Aborting Redis startup because of ACL errors: {error}") from None

    def require_password(self, password: bytes) -> None:
        """`requirepass`: the default user's only password, or none at all."""
        self.set_user(_DEFAULT, [b"resetpass", b">" + password if password else b"nopass"])

    def delete(self, name: bytes, asking: Session | None = None) -> bool:
        """Forget a user, whose clients are hung up on, the `asking` one with its answer; False when there is none."""
        if self.by_name.pop(name, None) is None:
            return False
        for session in self._clients:
            if to_bytes(session.user) == name:
                session.close() if session is asking else session.drop()
        return True

    def _update_clients(self, name: bytes, user: User) -> None:
        for session in self._clients:
            if to_bytes(session.user) != name or session.superuser:
                continue
            self.admitted(session)
            channels = (*session.channels, *session.shard_channels)
            hears_too_much = any(not user.allows_channel(channel, literally=False) for channel in channels) or any(
                not user.allows_channel(pattern, literally=True) for pattern in session.patterns
            )
            if hears_too_much:
                session.drop()

    # ---- files

    def describe(self) -> list[bytes]:
        """Every user as a line of an ACL file, by name."""
        return [b"user %b %b" % (name, self.by_name[name].describe()) for name in sorted(self.by_name)]

    def directives(self) -> list[tuple[str, ...]]:
        """What the `user` lines of a rewritten configuration file say: nothing where an ACL file has the users."""
        if self.file is not None:
            return []
        return [tuple(map(to_text, line.split()[1:])) for line in self.describe()]

    def load(self, text: bytes, source: str, asking: Session | None = None) -> None:
        """The users of an ACL file take the place of all others; raises AccountsError and changes nothing.

        As in Redis 7.0, all clients but the default user's are hung up on, the `asking` one with its answer.
        """
        users: dict[bytes, User] = {}
        wrong: list[str] = []
        for number, line in enumerate(text.split(b"\n"), 1):
            words = line.split()
            if not words:
                continue
            # No comments here, as in Redis.
            if words[0] != b"user" or len(words) < 2:
                wrong.append(f"{source}:{number} should start with user keyword followed by the username")
            elif words[1] in users:
                wrong.append(f"WARNING: Duplicate user '{to_text(words[1])}' found on line {number}")
            else:
                user = users[words[1]] = self.rules.new_user(words[1])
                wrong += [f"{source}:{number}: {mistake}" for mistake in self._mistakes(user, words[2:])]
        if wrong:
            problems = "".join(f"{line}. " for line in wrong)
            unchanged = "ACL errors detected, no change to the previously active ACL rules was performed"
            raise AccountsError(f"{problems}WARNING: {unchanged}")
        users.setdefault(_DEFAULT, self._new_default())
        for name in [name for name in self.by_name if name != _DEFAULT]:
            self.delete(name, asking)
        self.by_name |= users
        self._update_clients(_DEFAULT, users[_DEFAULT])

    def _mistakes(self, user: User, words: Sequence[bytes]) -> list[str]:
        """Apply the words of a line, and tell what is wrong with it: all unknown names, the first of other mistakes.

        The others' words are not shown: they may be passwords.
        """
        mistakes: list[str] = []
        others = 0
        try:
            for word in joined_selectors(words):
                try:
                    self.rules.apply(user, [word])
                except RuleError as error:
                    if error.unknown:
                        mistakes.append(f"Error in applying operation '{to_text(word)}': {error}")
                    elif not others:
                        mistakes.append(str(error))
                        others += 1
        except ParenthesisError:
            return ["Unmatched parenthesis in selector definition"]
        return mistakes


# What EXEC says of a command that has been forbidden since it was queued.
_REASONS = {
    Reason.COMMAND: b"no permission to execute the command or subcommand",
    Reason.KEY: b"no permission to touch the specified keys",
    Reason.CHANNEL: b"no permission to access one of the channels used as arguments to the command",
}


def forbidden_since(denial: Denial) -> bytes:
    """What EXEC answers in place of a command that was allowed when it was queued."""
    return (
        b"NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
        b"This command is no longer allowed for the following reason: " + _REASONS[denial.reason]
    )


def refusal(denial: Denial) -> bytes:
    """What a client is told, behind NOPERM."""
    return _REFUSALS.get(denial.reason, b"this user has no permissions to run the '%b' command" % denial.name)
