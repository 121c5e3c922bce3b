// How long Node.js took to get here, and how long kaio takes from here to its first context. Only what `import` has to load is loaded.
const begin = performance.now();
const { AioContext } = await import('kaio');
const imported = performance.now();
const context = new AioContext();
const made = performance.now();
process.stdout.write(JSON.stringify({ nodeMs: begin, importMs: imported - begin, contextMs: made - imported }));
await context.close();
