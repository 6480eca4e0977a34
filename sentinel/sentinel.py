"""A sentinel: puts the parts together from `(settings, runtime)`, starts and stops them, and does nothing else."""

from __future__ import annotations

import asyncio

from runtime import Runtime, Tasks
from runtime.settings import to_bytes
from runtime.tls import Tls
from sentinel.call import Call
from sentinel.commands import command_table
from sentinel.config import Configuration
from sentinel.config_file import ConfigFile
from sentinel.driver import Driver
from sentinel.machine import SentinelMachine
from sentinel.service import SentinelService, SentinelSession
from wire.acl.accounts import Accounts
from wire.acl.acl_file import AclFile
from wire.clients import Clients
from wire.front import Front
from wire.listener import Listener
from wire.pubsub import Broker
from wire.turn import Turn


class Sentinel:
    """One sentinel. Its parts are public: commands reach them by name through `Call.sentinel`."""

    # What HELLO says (`wire.front.Identity`).
    mode = "sentinel"

    def __init__(self, configuration: Configuration, file: ConfigFile, runtime: Runtime) -> None:
        server, memory = configuration.server, configuration.memory
        self.options = server
        self.clock = runtime.clock
        self.log = runtime.log
        self.pid = runtime.pid
        self.process = runtime.process
        self.run_id = runtime.random.hex_id("run-id")
        self.config_path = file.path
        self.started_at_ms = runtime.clock.wall_ms()
        self._loop = asyncio.get_running_loop()
        # Set when a client asks for the end (SHUTDOWN), or a signal does.
        self._stopping = asyncio.Event()
        self.tasks = Tasks(self._task_died)
        if not memory.my_id:
            memory = memory.model_copy(update={"my_id": runtime.random.hex_id("sentinel-id")})
        self.machine = SentinelMachine(
            memory,
            self.now_ms(),
            port=server.announced_port,
            random=runtime.random.stream("sentinel"),
            requirepass=server.requirepass or None,
        )
        self.turn = Turn(self._loop)
        self.broker = Broker()
        self.tls = Tls(runtime.tls_contexts)
        self.driver = Driver(
            self.machine,
            file,
            self.log,
            self.tasks,
            self.broker.publish,
            runtime.process.exit,
            lambda: self.tls.client if server.tls.replication else None,
        )
        self.clients: Clients[SentinelSession] = Clients(server.maxclients)
        self.table = command_table()
        self.accounts = Accounts(self.table, self.clients, runtime.clock, runtime.random)
        for old, new in server.renamed_commands:
            self.table.rename(old, new)
        self._files = runtime.files
        file.users = self.accounts.directives
        self.front = Front(
            clock=runtime.clock,
            clients=self.clients,
            broker=self.broker,
            table=self.table,
            credentials=self.accounts,
            identity=self,
        )
        self.service = SentinelService(
            self.turn, self.front, self.clients, self.table, self.accounts, lambda session: Call(self, session)
        )
        # Without TLS and with it.
        self.listeners = (Listener(self.service, server.tcp_keepalive), Listener(self.service, server.tcp_keepalive))

    def role(self) -> str | None:
        """HELLO names no role for a sentinel."""
        return None

    def now_ms(self) -> int:
        """The machine's clock."""
        return int(self._loop.time() * 1_000)

    async def start(self) -> None:
        """Open the ports and begin to watch.

        Raises `AccountsError`, `TlsError` and `BindError`, and OSError when the configuration cannot be saved.
        """
        options = self.options
        self._load_users()
        if options.tls_port or options.tls.replication:
            self.tls.configure(options.tls)
        plain, secure = self.listeners
        if options.port:
            await plain.open(options.bind, options.port, options.tcp_backlog)
        if options.tls_port:
            await secure.open(options.bind, options.tls_port, options.tcp_backlog, self.tls.server)
        self.log.notice(f"Running mode=sentinel, port={options.port or options.tls_port}.")
        self.log.warning(f"Sentinel ID is {self.machine.knowledge.my_id}")
        for master in self.machine.knowledge.masters.values():
            if master.options.notification_script or master.options.client_reconfig_script:
                self.log.warning(f"Warning: the scripts of {master.name} are kept and shown, but not run by Shardlab.")
        self.driver.start()
        self.service.begin()

    def _load_users(self) -> None:
        options, accounts = self.options, self.accounts
        accounts.rules.all_channels = options.acl_pubsub_default == "allchannels"
        accounts.log.max = options.acllog_max_len
        accounts.require_password(to_bytes(options.requirepass))
        file = AclFile(self._files, options.aclfile, self.log) if options.aclfile else None
        accounts.load_at_start(options.users, file)

    def ask_to_stop(self) -> None:
        """Have `wait_stopped` return."""
        self._stopping.set()

    async def wait_stopped(self) -> None:
        await self._stopping.wait()

    async def stop(self) -> None:
        """Close everything; nothing is to be saved, because every change was."""
        self.driver.stop()
        for listener in self.listeners:
            await listener.close()
        for session in self.clients:
            session.drop()
        await self.tasks.cancel_all()

    def _task_died(self, name: str, failure: BaseException) -> None:
        """A mistake of ours; what becomes of it is decided where the loop reports such things."""
        self._loop.call_exception_handler({"message": f"Task {name} died", "exception": failure})
