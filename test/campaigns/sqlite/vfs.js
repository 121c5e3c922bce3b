// SQLite's file system (https://sqlite.org/vfs.html) on kaio: the database past the page cache, its journals through it. SQLite waits for
// each call, which its build with Asyncify makes possible.
import { randomUUID } from 'node:crypto';
import { existsSync, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import * as VFS from 'wa-sqlite/src/VFS.js';

/** Blocks of direct I/O, and what SQLite is told of the disk's sectors: it then writes its database in whole ones. */
const SECTOR_BYTES = 4096;

export class KaioVfs extends VFS.Base {
  name = 'kaio';
  mxPathName = 512;
  #context;
  #folder;
  #files = new Map();

  /** Files are those of one folder. */
  constructor(context, folder) {
    super();
    this.#context = context;
    this.#folder = folder;
  }

  #path(name) {
    return `${this.#folder}/${basename(name)}`;
  }

  /** Runs what takes time; what it throws is an error of the disk to SQLite. */
  #wait(failure, act) {
    return this.handleAsync(async () => {
      try {
        return (await act()) ?? VFS.SQLITE_OK;
      } catch (error) {
        console.error(error);
        return failure;
      }
    });
  }

  xOpen(name, id, flags, pOutFlags) {
    return this.#wait(VFS.SQLITE_CANTOPEN, async () => {
      const path = this.#path(name ?? randomUUID());
      const database = (flags & VFS.SQLITE_OPEN_MAIN_DB) !== 0;
      if ((flags & VFS.SQLITE_OPEN_CREATE) === 0 && !existsSync(path)) return VFS.SQLITE_CANTOPEN;
      const how = existsSync(path) ? 'r+' : 'w+';
      const file = await this.#context.open(path, how, { direct: database ? 'auto' : false });
      this.#files.set(id, { file, path, direct: database, gone: (flags & VFS.SQLITE_OPEN_DELETEONCLOSE) !== 0 });
      pOutFlags.setInt32(0, flags, true);
    });
  }

  xClose(id) {
    return this.#wait(VFS.SQLITE_IOERR_CLOSE, async () => {
      const { file, path, gone } = this.#files.get(id);
      this.#files.delete(id);
      await file.close();
      if (gone) unlinkSync(path);
    });
  }

  xRead(id, pData, offset) {
    return this.#wait(VFS.SQLITE_IOERR_READ, async () => {
      const { file, direct } = this.#files.get(id);
      // The database's first hundred bytes, and its change counter, are read by themselves.
      const unit = direct ? SECTOR_BYTES : 1;
      const from = offset - (offset % unit);
      const length = Math.ceil((offset + pData.length - from) / unit) * unit;
      const memory = this.#context.allocate(length);
      const { bytesRead } = await file.read(memory, 0, length, from);
      const got = memory.subarray(
        offset - from,
        Math.max(offset - from, Math.min(bytesRead, offset - from + pData.length)),
      );
      pData.set(got);
      memory[Symbol.dispose]();
      if (got.length === pData.length) return VFS.SQLITE_OK;
      pData.fill(0, got.length);
      return VFS.SQLITE_IOERR_SHORT_READ;
    });
  }

  xWrite(id, pData, offset) {
    return this.#wait(VFS.SQLITE_IOERR_WRITE, async () => {
      const { file } = this.#files.get(id);
      const memory = this.#context.allocate(pData.length);
      memory.set(pData);
      const { bytesWritten } = await file.write(memory, 0, pData.length, offset);
      memory[Symbol.dispose]();
      if (bytesWritten !== pData.length) return VFS.SQLITE_FULL;
    });
  }

  xTruncate(id, size) {
    return this.#wait(VFS.SQLITE_IOERR_TRUNCATE, () => this.#files.get(id).file.truncate(size));
  }

  xSync(id, flags) {
    const { file } = this.#files.get(id);
    return this.#wait(VFS.SQLITE_IOERR_FSYNC, () => (flags & VFS.SQLITE_SYNC_DATAONLY ? file.datasync() : file.sync()));
  }

  xFileSize(id, pSize64) {
    return this.#wait(VFS.SQLITE_IOERR_FSTAT, async () => {
      const { size } = await this.#files.get(id).file.stat({ bigint: true });
      pSize64.setBigInt64(0, size, true);
    });
  }

  xSectorSize() {
    return SECTOR_BYTES;
  }

  xDelete(name, syncDir) {
    return this.#wait(VFS.SQLITE_IOERR_DELETE, async () => {
      const path = this.#path(name);
      if (!existsSync(path)) return VFS.SQLITE_IOERR_DELETE_NOENT;
      unlinkSync(path);
      if (syncDir === 0) return VFS.SQLITE_OK;
      const folder = await this.#context.open(dirname(path), 'r', { direct: false });
      await folder.sync();
      await folder.close();
    });
  }

  xAccess(name, _flags, pResOut) {
    pResOut.setInt32(0, existsSync(this.#path(name)) ? 1 : 0, true);
    return VFS.SQLITE_OK;
  }
}
