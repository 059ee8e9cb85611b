import { Gateway } from './gateway';
import { enter, enterLive, expect, test as base } from './console-stage';
import { Redis } from './redis';
import { look } from './screens';
import { Tab } from './tab';

interface Cluster {
  redis: Redis;
  /** What stands in the file of a node of this name. */
  node: (name: string) => string;
}

/** A Redis first: the gateway of the desk is one of its nodes. */
const test = base.extend<{ cluster: Cluster }>({
  cluster: async ({}, use) => {
    const redis = await Redis.start();
    const node = (name: string) =>
      [
        'cluster.kind = "redis"',
        `cluster.url = "${redis.url}"`,
        `cluster.node_name = "${name}"`,
        'cluster.node_lease = "4s"',
      ].join('\n');
    await use({ redis, node });
    // One that was stopped goes as well.
    await redis.stop();
  },
  toml: async ({ cluster }, use) => use(cluster.node('gw-east')),
});

test('the page Node shows the nodes, this one marked, and says when the store cannot be asked', async ({
  page,
  desk,
  cluster,
}) => {
  // It waits for a lease to run out, beside other work perhaps.
  test.slow();
  const west = await Gateway.start({ publicUrl: 'http://localhost:1', toml: cluster.node('gw-west') });
  try {
    await desk.tab('demo', 't1');
    await enterLive(page, desk, '#/node');
    const nodes = page.getByRole('region', { name: 'Nodes of the cluster' });
    await expect(nodes.locator('tbody tr')).toHaveCount(2, { timeout: 20_000 });
    await expect(page.getByText('Sessions of all nodes count together.')).toBeVisible();
    const east = nodes.locator('[data-node="gw-east"]');
    await expect(east).toContainText('this node');
    await expect(east).toContainText(`127.0.0.1:${desk.gateway.listen}`);
    await expect(east).toContainText(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
    await expect(nodes.locator('[data-node="gw-west"]')).not.toContainText('this node');
    await expect(page.getByText('This node holds 1 lease.')).toBeVisible();
    await look(page, 'console-node-cluster');
    const wide = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    await look(page, 'console-phone-node-cluster');
    if (wide !== null) await page.setViewportSize(wide);

    cluster.redis.freeze();
    const unknown = page.getByText(/The store cannot be asked since .*: each node goes by its own count/);
    await expect(unknown).toBeVisible({ timeout: 20_000 });
    await expect(unknown).toContainText('Redis did not answer');
    await expect(east).toContainText('not known');
    await expect(nodes.locator('tbody tr')).toHaveCount(2);
    await look(page, 'console-node-cluster-unknown');

    cluster.redis.thaw();
    await expect(unknown).toHaveCount(0, { timeout: 20_000 });
    await west.kill();
    await expect(nodes.locator('tbody tr')).toHaveCount(1, { timeout: 30_000 });
    await expect(east).toBeVisible();
  } finally {
    await west.stop();
  }
});

test('the page of a user names his sessions on other nodes', async ({ page, desk, cluster }) => {
  const west = await Gateway.start({ publicUrl: 'http://localhost:1', toml: cluster.node('gw-west') });
  let there: Tab | undefined;
  try {
    there = await Tab.open(west, 'demo', 't2');
    await desk.tab('demo', 't1');
    await enter(page, desk, '#/users/demo');
    const elsewhere = page.getByRole('region', { name: 'Sessions on other nodes' });
    const row = elsewhere.locator('[data-node="gw-west"]');
    await expect(row).toContainText('t2');
    await expect(row).toContainText('Alive');
    await expect(page.getByText(/1 of them on other nodes/)).toBeVisible();
    // Of twenty places one is taken there, and one here.
    await expect(page.getByText('18 free')).toBeVisible();
    await look(page, 'console-user-elsewhere');
    there.say({ type: 'leave', thread: 't2' });
    await expect(elsewhere).toHaveCount(0);
  } finally {
    there?.close();
    await west.stop();
  }
});

base('a node without others says that it is alone', async ({ page, desk }) => {
  await enterLive(page, desk, '#/node');
  await expect(page.getByText('This node is alone')).toBeVisible();
});
