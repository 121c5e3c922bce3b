type Undo = () => void;

const pending = new Set<Undo[]>();

// A test run that is ended half-way still leaves no mount and no loop device behind.
process.on('exit', () => {
  for (const steps of pending) rollBack(steps);
});

/**
 * Calls `use` with a function that registers what has to be undone afterwards. The steps run in reverse order, synchronously, whether
 * `use` fails or not, and also where the process exits meanwhile. A step that fails does not keep the others from running.
 */
export async function undoing<T>(use: (later: (undo: Undo) => void) => Promise<T>): Promise<T> {
  const steps: Undo[] = [];
  pending.add(steps);
  let failures: unknown[] = [];
  try {
    return await use((undo) => steps.push(undo));
  } finally {
    pending.delete(steps);
    failures = rollBack(steps);
    if (failures.length > 0) process.emitWarning(new AggregateError(failures, 'A test could not be cleaned up after'));
  }
}

function rollBack(steps: Undo[]): unknown[] {
  const failures: unknown[] = [];
  for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}
