"""ACL: users and what they may do. The rules are `wire.acl`'s.

Only a server whose front has `Accounts` for credentials has these commands.
"""

from __future__ import annotations

from runtime.settings import to_bytes
from wire.acl.accounts import Accounts
from wire.acl.acl_file import AccountsError, AclFile
from wire.acl.rules import ParenthesisError, RuleError
from wire.acl.selector import Reason
from wire.acl.user import User
from wire.arguments import parse_integer
from wire.call import Call
from wire.command import ADMIN, LOADING, NOSCRIPT, STALE, command, container
from wire.commands.help import help_lines
from wire.describe import CATEGORIES
from wire.errors import Error, until_nul, wrong_arity, wrong_subcommand
from wire.reply import OK, Reply, ReplySet
from wire.table import Command

_READ = NOSCRIPT | LOADING | STALE
_CHANGE = ADMIN | _READ
_GENPASS_MAX = 4096
_GENPASS_BITS = 256
_LOG_SHOWN = 10
_NO_FILE = (
    b"ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
    b"command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store "
    b"users in the Redis configuration."
)

acl = container(
    "ACL",
    group="server",
    since="6.0.0",
    summary="A container for Access List Control commands.",
    help=(
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "DELUSER <username> [<username> ...]",
        "    Delete a list of users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Returns whether the user can execute the given command without executing the command.",
        "GETUSER <username>",
        "    Get the user's details.",
        "GENPASS [<bits>]",
        "    Generate a secure 256-bit user password. The optional `bits` argument can",
        "    be used to specify a different size.",
        "LIST",
        "    Show users details in config file format.",
        "LOAD",
        "    Reload users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show the ACL log entries.",
        "SAVE",
        "    Save the current config to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create or modify a user with the specified attributes.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
    ),
)


@command(
    "ACL|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="6.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def acl_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(acl)


@command(
    "ACL|CAT",
    arity=-2,
    flags=_READ,
    group="server",
    since="6.0.0",
    complexity="O(1) since the categories and commands are a fixed set.",
    summary="Lists the ACL categories, or the commands inside a category.",
    syntax="[categoryname]",
)
def acl_cat(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise wrong_subcommand(argv)
    if len(argv) == 2:
        return [name.encode() for name in CATEGORIES]
    commands = _accounts(call).rules.in_category(argv[2].decode("latin-1").lower())
    if commands is None:
        raise Error(b"ERR Unknown category '%b'" % until_nul(argv[2])[:128])
    return [command.name.encode() for command in commands]


@command(
    "ACL|WHOAMI",
    arity=2,
    flags=_READ,
    group="server",
    since="6.0.0",
    complexity="O(1)",
    summary="Returns the authenticated username of the current connection.",
)
def acl_whoami(call: Call) -> Reply:
    return to_bytes(call.session.user)


@command(
    "ACL|USERS",
    arity=2,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    summary="Lists all ACL users.",
)
def acl_users(call: Call) -> Reply:
    return sorted(_accounts(call).by_name)


@command(
    "ACL|LIST",
    arity=2,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    summary="Dumps the effective rules in ACL file format.",
)
def acl_list(call: Call) -> Reply:
    return _accounts(call).describe()


@command(
    "ACL|GETUSER",
    arity=3,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of password, command and pattern rules that the user has.",
    summary="Lists the ACL rules of a user.",
    syntax="username",
    history=(
        ("6.2.0", "Added Pub/Sub channel patterns."),
        (
            "7.0.0",
            "Added selectors and changed the format of key and channel patterns from a list to their rule "
            "representation.",
        ),
    ),
)
def acl_getuser(call: Call) -> Reply:
    user = _accounts(call).by_name.get(call.argv[2])
    if user is None:
        return None
    root = user.root
    return {
        b"flags": ReplySet(user.flags()),
        b"passwords": list(user.passwords),
        b"commands": root.describe_commands(),
        b"keys": root.describe_keys(),
        b"channels": root.describe_channels(),
        b"selectors": [
            {
                b"commands": selector.describe_commands(),
                b"keys": selector.describe_keys(),
                b"channels": selector.describe_channels(),
            }
            for selector in user.selectors[1:]
        ],
    }


@command(
    "ACL|SETUSER",
    arity=-3,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of rules provided.",
    summary="Creates and modifies an ACL user and its rules.",
    syntax="username [rule [rule ...]]",
    history=(
        ("6.2.0", "Added Pub/Sub channel patterns."),
        ("7.0.0", "Added selectors and key based permissions."),
    ),
)
def acl_setuser(call: Call) -> Reply:
    name, *words = call.argv[2:]
    if any(byte <= 0x20 for byte in name):
        raise Error(b"ERR Usernames can't contain spaces or null characters")
    try:
        _accounts(call).set_user(name, words)
    except RuleError as error:
        raise Error(b"ERR Error in ACL SETUSER modifier '%b': %b" % (until_nul(error.word), error.reason)) from None
    except ParenthesisError as error:
        raise Error(b"ERR Unmatched parenthesis in acl selector starting at '%b'." % until_nul(error.start)) from None
    return OK


@command(
    "ACL|DELUSER",
    arity=-3,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(1) amortized time considering the typical user.",
    summary="Deletes ACL users, and terminates their connections.",
    syntax="username [username ...]",
)
def acl_deluser(call: Call) -> Reply:
    names = call.argv[2:]
    if b"default" in names:
        raise Error(b"ERR The 'default' user cannot be removed")
    return sum(_accounts(call).delete(name, call.session) for name in names)


@command(
    "ACL|DRYRUN",
    arity=-4,
    flags=_CHANGE,
    group="server",
    since="7.0.0",
    complexity="O(1).",
    summary="Simulates the execution of a command by a user, without executing the command.",
    syntax="username command [arg [arg ...]]",
)
def acl_dryrun(call: Call) -> Reply:
    user = _accounts(call).by_name.get(call.argv[2])
    if user is None:
        raise Error(b"ERR User '%b' not found" % until_nul(call.argv[2]))
    argv = call.argv[3:]
    try:
        found = call.front.table.find(argv)
    except Error:
        known = call.front.table.all.get(argv[0].lower().decode("utf-8", "replace"))
        if known is not None and len(argv) < known.argc_min:
            raise wrong_arity(known.name) from None
        raise Error(b"ERR Command '%b' not found" % until_nul(argv[0])) from None
    if not found.argc_min <= len(argv) <= found.argc_max:
        raise wrong_arity(found.name)
    return _judged(user, found, argv)


def _judged(user: User, command: Command, argv: list[bytes]) -> Reply:
    denial = user.denial(command, argv)
    if denial is None:
        return OK
    if denial.reason is Reason.COMMAND:
        return b"This user has no permissions to run the '%b' command" % denial.name
    return b"This user has no permissions to access the '%b' %b" % (denial.name, denial.reason.value)


@command(
    "ACL|GENPASS",
    arity=-2,
    flags=_READ,
    group="server",
    since="6.0.0",
    complexity="O(1)",
    summary="Generates a pseudorandom, secure password that can be used to identify ACL users.",
    syntax="[bits:integer]",
)
def acl_genpass(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise wrong_subcommand(argv)
    bits = parse_integer(argv[2]) if len(argv) == 3 else _GENPASS_BITS
    if not 0 < bits <= _GENPASS_MAX:
        raise Error(
            b"ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096"
        )
    return _accounts(call).random.hex_id("acl-genpass", (bits + 3) // 4).encode()


@command(
    "ACL|LOG",
    arity=-2,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(N) with N being the number of entries shown.",
    summary="Lists recent security events generated due to ACL rules.",
    syntax="[count | RESET]",
)
def acl_log(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise wrong_subcommand(argv)
    log = _accounts(call).log
    count = _LOG_SHOWN
    if len(argv) == 3:
        if argv[2].upper() == b"RESET":
            log.entries.clear()
            return OK
        count = max(parse_integer(argv[2]), 0)
    now_ms = call.front.clock.wall_ms()
    return [entry.shown(now_ms) for entry in list(log.entries)[:count]]


@command(
    "ACL|SAVE",
    arity=2,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    summary="Saves the effective ACL rules in the configured ACL file.",
)
def acl_save(call: Call) -> Reply:
    accounts = _accounts(call)
    if not _file(accounts).save(accounts.describe()):
        raise Error(
            b"ERR There was an error trying to save the ACLs. Please check the server logs for more information"
        )
    return OK


@command(
    "ACL|LOAD",
    arity=2,
    flags=_CHANGE,
    group="server",
    since="6.0.0",
    complexity="O(N). Where N is the number of configured users.",
    summary="Reloads the rules from the configured ACL file.",
)
def acl_load(call: Call) -> Reply:
    accounts = _accounts(call)
    file = _file(accounts)
    try:
        accounts.load(file.read(), file.path, call.session)
    except AccountsError as error:
        raise Error(b"ERR " + to_bytes(str(error))) from None
    return OK


def _file(accounts: Accounts) -> AclFile:
    if accounts.file is None:
        raise Error(_NO_FILE)
    return accounts.file


def _accounts(call: Call) -> Accounts:
    """The users of the server that runs the command."""
    credentials = call.front.credentials
    assert isinstance(credentials, Accounts)
    return credentials
