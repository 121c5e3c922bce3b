// A FUSE file system that passes everything through to a folder, except where a rule says otherwise.
//
//   fuse_faults BACKING RULES MOUNTPOINT
//
// RULES is a text file, read anew before each request if it has been replaced. A line is a rule, the first that matches
// counts:
//
//   PATTERN OPERATION DELAY_MS ERRNO MAX_BYTES DIRECT_IO
#define _GNU_SOURCE
#define FUSE_USE_VERSION 312

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct rule {
  char pattern[128];
  char operation[16];
  int delay_ms, error, max_bytes, direct_io;
};

enum { MAX_RULES = 32 };

static int backing;
static const char* rules_path;
static struct rule rules[MAX_RULES];
static int rule_count;
static struct stat rules_seen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void reload(void) {
  struct stat now;
  if (stat(rules_path, &now) != 0) return;
  if (now.st_ino == rules_seen.st_ino && now.st_mtim.tv_sec == rules_seen.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == rules_seen.st_mtim.tv_nsec)
    return;
  FILE* file = fopen(rules_path, "r");
  if (file == NULL) return;
  rules_seen = now;
  rule_count = 0;
  while (rule_count < MAX_RULES) {
    struct rule* rule = &rules[rule_count];
    if (fscanf(file, "%127s %15s %d %d %d %d", rule->pattern, rule->operation, &rule->delay_ms, &rule->error,
               &rule->max_bytes, &rule->direct_io) != 6)
      break;
    rule_count++;
  }
  fclose(file);
}

// The rule for a request; one that does nothing where none matches. The delay is over when this returns.
static struct rule apply(const char* path, const char* operation) {
  struct rule found = {0};
  pthread_mutex_lock(&lock);
  reload();
  for (int i = 0; i < rule_count; i++) {
    if (strcmp(rules[i].operation, operation) != 0 || fnmatch(rules[i].pattern, path + 1, 0) != 0) continue;
    found = rules[i];
    break;
  }
  pthread_mutex_unlock(&lock);
  struct timespec delay = {found.delay_ms / 1000, found.delay_ms % 1000 * 1000000L};
  nanosleep(&delay, NULL);
  return found;
}

static const char* relative(const char* path) { return path[1] == '\0' ? "." : path + 1; }

static int result(int value) { return value < 0 ? -errno : value; }

static void* fs_init(struct fuse_conn_info* connection, struct fuse_config* config) {
  (void)connection;
  // What is changed in the backing folder shows at once.
  config->attr_timeout = 0;
  config->entry_timeout = 0;
  config->negative_timeout = 0;
  return NULL;
}

static int fs_getattr(const char* path, struct stat* stat, struct fuse_file_info* file) {
  if (file != NULL) return result(fstat((int)file->fh, stat));
  return result(fstatat(backing, relative(path), stat, AT_SYMLINK_NOFOLLOW));
}

static int fs_readdir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info* file,
                      enum fuse_readdir_flags flags) {
  (void)offset, (void)file, (void)flags;
  const int fd = openat(backing, relative(path), O_RDONLY | O_DIRECTORY);
  DIR* dir = fd < 0 ? NULL : fdopendir(fd);
  if (dir == NULL) return -errno;
  for (struct dirent* entry = readdir(dir); entry != NULL; entry = readdir(dir))
    fill(buffer, entry->d_name, NULL, 0, 0);
  closedir(dir);
  return 0;
}

static int open_file(const char* path, int flags, mode_t mode, struct fuse_file_info* file) {
  const struct rule rule = apply(path, "open");
  if (rule.error) return -rule.error;
  // The kernel has dealt with these two already.
  const int fd = openat(backing, relative(path), flags & ~(O_DIRECT | O_APPEND), mode);
  if (fd < 0) return -errno;
  file->fh = (uint64_t)fd;
  file->direct_io = rule.direct_io != 0;
  return 0;
}

static int fs_open(const char* path, struct fuse_file_info* file) { return open_file(path, file->flags, 0, file); }

static int fs_create(const char* path, mode_t mode, struct fuse_file_info* file) {
  return open_file(path, file->flags | O_CREAT, mode, file);
}

static int fs_read(const char* path, char* buffer, size_t size, off_t offset, struct fuse_file_info* file) {
  const struct rule rule = apply(path, "read");
  if (rule.error) return -rule.error;
  if (rule.max_bytes && size > (size_t)rule.max_bytes) size = (size_t)rule.max_bytes;
  return result((int)pread((int)file->fh, buffer, size, offset));
}

static int fs_write(const char* path, const char* data, size_t size, off_t offset, struct fuse_file_info* file) {
  const struct rule rule = apply(path, "write");
  if (rule.error) return -rule.error;
  if (rule.max_bytes && size > (size_t)rule.max_bytes) size = (size_t)rule.max_bytes;
  return result((int)pwrite((int)file->fh, data, size, offset));
}

static int fs_fsync(const char* path, int data_only, struct fuse_file_info* file) {
  (void)data_only;
  const struct rule rule = apply(path, "fsync");
  return rule.error ? -rule.error : result(fdatasync((int)file->fh));
}

static int fs_truncate(const char* path, off_t size, struct fuse_file_info* file) {
  if (file != NULL) return result(ftruncate((int)file->fh, size));
  const int fd = openat(backing, relative(path), O_WRONLY);
  if (fd < 0) return -errno;
  const int answer = result(ftruncate(fd, size));
  close(fd);
  return answer;
}

static int fs_fallocate(const char* path, int mode, off_t offset, off_t length, struct fuse_file_info* file) {
  (void)path;
  return result(fallocate((int)file->fh, mode, offset, length));
}

static int fs_chmod(const char* path, mode_t mode, struct fuse_file_info* file) {
  (void)file;
  return result(fchmodat(backing, relative(path), mode, 0));
}

static int fs_chown(const char* path, uid_t uid, gid_t gid, struct fuse_file_info* file) {
  (void)file;
  return result(fchownat(backing, relative(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int fs_utimens(const char* path, const struct timespec times[2], struct fuse_file_info* file) {
  (void)file;
  return result(utimensat(backing, relative(path), times, AT_SYMLINK_NOFOLLOW));
}

static int fs_release(const char* path, struct fuse_file_info* file) {
  (void)path;
  return result(close((int)file->fh));
}

static int fs_unlink(const char* path) { return result(unlinkat(backing, relative(path), 0)); }

static int fs_mkdir(const char* path, mode_t mode) { return result(mkdirat(backing, relative(path), mode)); }

static int fs_rmdir(const char* path) { return result(unlinkat(backing, relative(path), AT_REMOVEDIR)); }

static const struct fuse_operations operations = {
    .init = fs_init,
    .getattr = fs_getattr,
    .readdir = fs_readdir,
    .open = fs_open,
    .create = fs_create,
    .read = fs_read,
    .write = fs_write,
    .fsync = fs_fsync,
    .truncate = fs_truncate,
    .fallocate = fs_fallocate,
    .chmod = fs_chmod,
    .chown = fs_chown,
    .utimens = fs_utimens,
    .release = fs_release,
    .unlink = fs_unlink,
    .mkdir = fs_mkdir,
    .rmdir = fs_rmdir,
};

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s BACKING RULES MOUNTPOINT\n", argv[0]);
    return 2;
  }
  backing = open(argv[1], O_RDONLY | O_DIRECTORY);
  rules_path = argv[2];
  if (backing < 0) {
    perror(argv[1]);
    return 1;
  }
  // In the foreground, so that whoever started it can end it.
  char* arguments[] = {argv[0], "-f", "-o", "default_permissions,max_threads=64,max_idle_threads=64", argv[3], NULL};
  return fuse_main(5, arguments, &operations, NULL);
}
