/** What is done to the file. Reading and copying are of data that no cache has, unless it is `warm`. */
export type Task = 'read' | 'read warm' | 'write' | 'copy';

/** One run of a JavaScript peer, as JSON on its command line. */
export interface StreamSpec {
  readonly task: Task;
  readonly peer: string;
  /** What is read, and what is written. */
  readonly source: string;
  readonly target: string;
  readonly bytes: number;
}

/** One run, of whatever peer. */
export interface StreamResult {
  readonly wallMs: number;
  /** CPU of the process, all its threads; not that of the kernel's, which write the page cache back. */
  readonly cpuMs: number;
  /** Most memory that the process had; of other programs it is not measured. */
  readonly peakMiB?: number;
  /** Most memory of the pool that was handed out. */
  readonly poolMiB?: number;
}
