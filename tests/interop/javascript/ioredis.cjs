// ioredis' own features against a node or a cluster: node ioredis.cjs node|cluster PORT
const assert = require("node:assert");
const Redis = require("ioredis");

const [kind, port] = process.argv.slice(2);
const connect = () =>
  kind === "cluster"
    ? new Redis.Cluster([{ host: "127.0.0.1", port: Number(port) }], { shardedSubscribers: true })
    : new Redis({ host: "127.0.0.1", port: Number(port) });

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...values) => resolve(values)));

async function main() {
  const client = connect();
  await client.set("{i}text", "héllo");
  assert.strictEqual(await client.get("{i}text"), "héllo");
  assert.deepStrictEqual(await client.getBuffer("{i}text"), Buffer.from("héllo"));

  const piped = await client.pipeline().set("{i}a", 1).incr("{i}a").lpush("{i}a", "x").get("{i}a").exec();
  assert.strictEqual(piped[1][1], 2);
  assert.match(piped[2][0].message, /^WRONGTYPE/);
  assert.strictEqual(piped[3][1], "2");

  const done = await client.multi().set("{i}b", 1).incrby("{i}b", 4).exec();
  assert.deepStrictEqual(done, [[null, "OK"], [null, 5]]);
  await assert.rejects(client.multi().set("{i}b", 1).set("{i}b").exec(), /EXECABORT/);

  if (kind === "node") {
    await client.watch("{i}b");
    const other = connect();
    await other.set("{i}b", "changed");
    assert.strictEqual(await client.multi().set("{i}b", "mine").exec(), null);
    other.disconnect();
  }

  client.defineCommand("double", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], redis.call('get', KEYS[1]))" });
  await client.set("{i}n", 21);
  assert.strictEqual(await client.double("{i}n"), 42);
  assert.strictEqual(await client.double("{i}n"), 84);

  const code = "#!lua name=ioredis\nredis.register_function('ioredis_echo', function(keys, args) return args[1] end)";
  const masters = kind === "cluster" ? client.nodes("master") : [client];
  for (const master of masters) assert.strictEqual(await master.function("LOAD", "REPLACE", code), "ioredis");
  assert.strictEqual(await client.fcall("ioredis_echo", 1, "{i}n", "said"), "said");

  const listener = connect();
  await listener.subscribe("news");
  await listener.psubscribe("ne*");
  const told = [next(listener, "message"), next(listener, "pmessage")];
  await client.publish("news", "one");
  assert.deepStrictEqual(await told[0], ["news", "one"]);
  assert.deepStrictEqual(await told[1], ["ne*", "news", "one"]);
  await listener.unsubscribe("news");
  await listener.punsubscribe("ne*");
  await listener.ssubscribe("{i}shard");
  const sharded = next(listener, "smessage");
  await client.spublish("{i}shard", "two");
  assert.deepStrictEqual((await sharded).slice(0, 2), ["{i}shard", "two"]);
  listener.disconnect();

  const first = await client.xadd("{i}stream", "*", "field", "value");
  await client.xgroup("CREATE", "{i}stream", "group", "0");
  const read = await client.xreadgroup("GROUP", "group", "me", "COUNT", 1, "STREAMS", "{i}stream", ">");
  assert.deepStrictEqual(read, [["{i}stream", [[first, ["field", "value"]]]]]);
  assert.strictEqual(await client.xack("{i}stream", "group", first), 1);
  const waiting = connect();
  const blocked = waiting.xread("BLOCK", 5000, "STREAMS", "{i}stream", "$");
  const blockedClients = async () => {
    const infos = await Promise.all(masters.map((master) => master.info("clients")));
    return infos.map((info) => Number(/blocked_clients:(\d+)/.exec(info)[1])).reduce((a, b) => a + b);
  };
  while ((await blockedClients()) === 0);
  await client.xadd("{i}stream", "*", "field", "later");
  assert.strictEqual((await blocked)[0][1][0][1][1], "later");
  waiting.disconnect();

  const found = [];
  for (const master of masters)
    for await (const keys of master.scanStream({ match: "{i}*", count: 5 })) found.push(...keys);
  assert.deepStrictEqual(new Set(found), new Set(["{i}text", "{i}a", "{i}b", "{i}n", "{i}stream"]));
  await client.hset("{i}hash", { a: 1, b: 2 });
  assert.deepStrictEqual(await client.hgetall("{i}hash"), { a: "1", b: "2" });
  client.disconnect();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
