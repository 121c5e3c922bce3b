import { readFileSync } from 'node:fs';
import type { BenchFacts } from './command.ts';
import type { EngineResult } from './run.ts';

/** What the page's script (page/draw.ts, bundled with its chart library at build time) draws. */
export interface PageData {
  readonly facts: BenchFacts;
  readonly engines: readonly {
    readonly engine: string;
    readonly perSecond: readonly number[];
    readonly octaves: readonly { readonly upTo: number; readonly count: number }[];
  }[];
}

/** One HTML page that holds all it needs: it can be mailed and opened years later. */
export function page(facts: BenchFacts, results: readonly EngineResult[]): string {
  const engines = results.map(({ engine, perSecond, latencies }) => ({
    engine,
    perSecond,
    octaves: latencies.octaves(),
  }));
  const data: PageData = { facts, engines };
  const script = readFileSync(new URL('./page.bundle.js', import.meta.url), 'utf8');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>kaio bench ${escaped(facts.path)}</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse } th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } .chart { height: 20rem; margin: 2rem 0 }
</style>
<body>
<h1>kaio bench</h1>
<p id="facts"></p>
<table id="figures"></table>
<div class="chart" id="rate"></div>
<div class="chart" id="latency"></div>
<script type="application/json" id="data">${JSON.stringify(data).replaceAll('<', '\\u003c')}</script>
<script>${script.replaceAll('</script', '<\\/script')}</script>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
