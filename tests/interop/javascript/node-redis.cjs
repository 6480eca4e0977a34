// node-redis' own features against a node or a cluster: node node-redis.cjs node|cluster PORT
const assert = require("node:assert");
const { createClient, createCluster, defineScript, BasicClientSideCache, WatchError } = require("redis");

const [kind, port] = process.argv.slice(2);
const url = `redis://127.0.0.1:${port}`;
const scripts = {
  double: defineScript({
    NUMBER_OF_KEYS: 1,
    FIRST_KEY_INDEX: 1,
    SCRIPT: "return redis.call('incrby', KEYS[1], redis.call('get', KEYS[1]))",
    parseCommand: (parser, key) => parser.pushKey(key),
    transformReply: (reply) => reply,
  }),
};

async function connect(options = {}) {
  const client =
    kind === "cluster"
      ? createCluster({ rootNodes: [{ url }], scripts, ...options })
      : createClient({ url, scripts, ...options });
  client.on("error", (error) => console.error(error));
  await client.connect();
  return client;
}

const heard = () => {
  let tell;
  const promise = new Promise((resolve) => (tell = resolve));
  return [promise, (message, channel) => tell([message, channel])];
};

async function main() {
  for (const RESP of [2, 3]) {
    const client = await connect({ RESP });
    await client.set("{r}a", "1");
    assert.deepStrictEqual(await Promise.all([client.incr("{r}a"), client.incr("{r}a")]), [2, 3]);
    assert.deepStrictEqual(await client.multi().set("{r}b", "5").incrBy("{r}b", 2).exec(), ["OK", 7]);
    assert.strictEqual(await client.set("{r}n", "21"), "OK");
    assert.strictEqual(await client.double("{r}n"), 42);
    assert.strictEqual(await client.double("{r}n"), 84);
    assert.strictEqual(await client.eval("return #KEYS", { keys: ["{r}a", "{r}b"], arguments: [] }), 2);

    if (kind === "node") {
      const other = client.duplicate();
      await other.connect();
      await client.watch("{r}b");
      await other.set("{r}b", "changed");
      await assert.rejects(client.multi().set("{r}b", "mine").exec(), WatchError);
      const code = "#!lua name=noderedis\nredis.register_function('node_echo', function(keys, args) return args[1] end)";
      assert.strictEqual(await client.functionLoad(code, { REPLACE: true }), "noderedis");
      assert.strictEqual(await client.fCall("node_echo", { keys: ["{r}n"], arguments: ["said"] }), "said");
      other.destroy();
    }

    const listener = kind === "cluster" ? client : client.duplicate();
    if (kind === "node") await listener.connect();
    const [plain, hear] = heard();
    await listener.subscribe("news", hear);
    const [pattern, hearPattern] = heard();
    await listener.pSubscribe("ne*", hearPattern);
    const [sharded, hearSharded] = heard();
    await listener.sSubscribe("{r}shard", hearSharded);
    await client.publish("news", "one");
    await client.sPublish("{r}shard", "two");
    assert.deepStrictEqual(await plain, ["one", "news"]);
    assert.deepStrictEqual(await pattern, ["one", "news"]);
    assert.deepStrictEqual(await sharded, ["two", "{r}shard"]);
    await listener.unsubscribe("news");
    await listener.pUnsubscribe("ne*");
    await listener.sUnsubscribe("{r}shard");
    if (kind === "node") listener.destroy();

    await client.del("{r}stream");
    const id = await client.xAdd("{r}stream", "*", { field: "value" });
    await client.xGroupCreate("{r}stream", "group", "0");
    const read = await client.xReadGroup("group", "me", { key: "{r}stream", id: ">" }, { COUNT: 1 });
    assert.strictEqual(read[0].messages[0].id, id);
    assert.strictEqual(read[0].messages[0].message.field, "value");
    assert.strictEqual(await client.xAck("{r}stream", "group", id), 1);

    await client.hSet("{r}hash", { a: "1", b: "2" });
    assert.deepStrictEqual({ ...(await client.hGetAll("{r}hash")) }, { a: "1", b: "2" });
    await client.zAdd("{r}zset", [{ score: 1.5, value: "x" }]);
    assert.deepStrictEqual(await client.zRangeWithScores("{r}zset", 0, -1), [{ value: "x", score: 1.5 }]);
    assert.strictEqual(await client.zScore("{r}zset", "x"), 1.5);
    client.destroy();
  }

  const cache = new BasicClientSideCache({ maxEntries: 10 });
  if (kind === "node") {
    const client = await connect({ RESP: 3, clientSideCache: cache });
    const other = await connect({ RESP: 3 });
    await other.set("{r}cached", "old");
    assert.strictEqual(await client.get("{r}cached"), "old");
    assert.strictEqual(await client.get("{r}cached"), "old");
    assert.strictEqual(cache.stats().hitCount, 1);
    await other.set("{r}cached", "new");
    const until = Date.now() + 5000;
    while ((await client.get("{r}cached")) !== "new") {
      assert.ok(Date.now() < until, "the invalidation has not come");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    client.destroy();
    other.destroy();
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
