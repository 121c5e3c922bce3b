/** Runs something as a user who may open none of the files that are here, where this one may open all. */
export async function asNobody<T>(run: () => Promise<T>): Promise<T> {
  if (process.getuid!() !== 0) return run();
  process.seteuid!(65534);
  try {
    return await run();
  } finally {
    process.seteuid!(0);
  }
}
