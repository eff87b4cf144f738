// sharp's side of the comparison: node sharp.cjs SOURCE TARGET TIMES, with NODE_PATH naming the folder that holds it.
const sharp = require('sharp');

const [source, target, times] = process.argv.slice(2);
const BUDGET_BYTES = 1_000_000;
const EDGE_PX = 2560;

async function fit() {
  for (let quality = 80, encodes = 1; ; quality -= 10, encodes += 1) {
    const body = await sharp(source)
      .rotate()
      .resize(EDGE_PX, EDGE_PX, { fit: 'inside', withoutEnlargement: true })
      .jpeg({ quality })
      .toBuffer();
    if (body.length <= BUDGET_BYTES) {
      require('node:fs').writeFileSync(target, body);
      return encodes;
    }
  }
}

(async () => {
  sharp.concurrency(1);
  sharp.cache(false);
  const told = { cpu_s: Infinity, wall_s: Infinity, encodes: 0 };
  for (let number = 0; number < Number(times); number += 1) {
    const cpu = process.cpuUsage();
    const wall = process.hrtime.bigint();
    told.encodes = await fit();
    const { user, system } = process.cpuUsage(cpu);
    told.cpu_s = Math.min(told.cpu_s, (user + system) / 1e6);
    told.wall_s = Math.min(told.wall_s, Number(process.hrtime.bigint() - wall) / 1e9);
  }
  process.stdout.write(JSON.stringify(told));
})();
