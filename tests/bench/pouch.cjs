// PouchDB on LevelDB, as it comes: `serve MODULES FOLDER` answers HTTP, `speak MODULES FOLDER URL` does what it is told.
"use strict";
const [role, modules, folder, url] = process.argv.slice(2);
const PouchDB = require(`${modules}/pouchdb`);
const say = (what) => console.log(JSON.stringify(what));

function serve() {
  const Here = PouchDB.defaults({ prefix: `${folder}/` });
  const quiet = { mode: "minimumForPouchDB", inMemoryConfig: true, logPath: `${folder}/log.txt` };
  const app = require(`${modules}/express`)();
  app.use("/", require(`${modules}/express-pouchdb`)(Here, quiet));
  const server = app.listen(0, "127.0.0.1", () => say({ port: server.address().port }));
}

const bases = {
  hub: () => new PouchDB(`${folder}/hub`),
  second: () => new PouchDB(`${folder}/second`),
  cloud: () => new PouchDB(`${url}/home`),
};
const opened = {};
const base = (name) => (opened[name] ??= bases[name]());

const verbs = {
  // All at once, which is not timed.
  fill: async ({ at, file }) => {
    const written = await base(at).bulkDocs(JSON.parse(require("fs").readFileSync(file)));
    return { written: written.filter((it) => it.ok).length };
  },
  // Rename documents `from` to `to` of the devices.
  edit: async ({ at, from, to, name }) => {
    const range = { include_docs: true, startkey: "device/", endkey: "device/\uffff", skip: from, limit: to - from };
    const { rows } = await base(at).allDocs(range);
    const written = await base(at).bulkDocs(rows.map((row, n) => ({ ...row.doc, name: `${name} ${n}` })));
    return { written: written.filter((it) => it.ok).length };
  },
  replicate: async ({ from, to }) => {
    const [source, target] = [base(from), base(to)];
    const began = performance.now();
    const done = await PouchDB.replicate(source, target);
    return { seconds: (performance.now() - began) / 1000, written: done.docs_written };
  },
  sync: async () => {
    const [here, there] = [base("hub"), base("cloud")];
    const began = performance.now();
    const done = await PouchDB.sync(here, there);
    return {
      seconds: (performance.now() - began) / 1000,
      written: done.push.docs_written + done.pull.docs_written,
    };
  },
  count: async ({ at }) => ({ written: (await base(at).info()).doc_count }),
};

async function speak() {
  for await (const line of require("readline").createInterface({ input: process.stdin })) {
    const told = JSON.parse(line);
    say(await verbs[told.verb](told));
  }
}

if (role === "serve") serve();
else speak();
