# Runs lists of file operations on the real kernel below a chroot and prints what each gave: the other half of
# scripts/vfs-host/run.ts. Reads {"base": dir, "runs": [[op, ...], ...]} on stdin, writes one JSON line per run.
import ctypes, errno, json, os, stat, sys

libc = ctypes.CDLL(None, use_errno=True)
O = {n[2:].lower(): getattr(os, n) for n in dir(os) if n.startswith('O_')}
FLAGS = {'rdonly': 0, 'wronly': 1, 'rdwr': 2, 'creat': os.O_CREAT, 'excl': os.O_EXCL, 'trunc': os.O_TRUNC,
         'append': os.O_APPEND, 'directory': os.O_DIRECTORY, 'nofollow': os.O_NOFOLLOW, 'path': os.O_PATH,
         'tmpfile': os.O_TMPFILE, 'nonblock': os.O_NONBLOCK}

def flags(words):
    v = 0
    for w in words: v |= FLAGS[w]
    return v

def check(r):
    if r < 0: raise OSError(ctypes.get_errno(), 'x')
    return r

def text(b): return b.decode('latin1')

def one(op, slots):
    k = op['op']; p = op.get('path')
    fd = slots.get(op.get('slot'), -1)
    if k != 'open' and 'slot' in op and fd < 0: raise OSError(errno.EBADF, 'x')
    if k == 'open':
        f = os.open(p, flags(op['flags']) | os.O_CLOEXEC, op.get('mode', 0o644))
        if op['slot'] in slots: os.close(slots[op['slot']])
        slots[op['slot']] = f; return None
    if k == 'close':
        if op['slot'] in slots: del slots[op['slot']]
        os.close(fd); return None
    if k == 'read': return text(os.read(fd, op['len']))
    if k == 'pread': return text(os.pread(fd, op['len'], op['off']))
    if k == 'write': return os.write(fd, op['data'].encode('latin1'))
    if k == 'pwrite': return os.pwrite(fd, op['data'].encode('latin1'), op['off'])
    if k == 'lseek': return os.lseek(fd, op['off'], {'set': 0, 'cur': 1, 'end': 2}[op['whence']])
    if k == 'ftruncate': os.ftruncate(fd, op['len']); return None
    if k == 'truncate': os.truncate(p, op['len']); return None
    if k == 'mkdir': os.mkdir(p, op['mode']); return None
    if k == 'rmdir': os.rmdir(p); return None
    if k == 'unlink': os.unlink(p); return None
    if k == 'rename':
        check(libc.renameat2(-100, p.encode(), -100, op['to'].encode(), op.get('rflags', 0))); return None
    if k == 'link': os.link(p, op['to'], follow_symlinks=False); return None
    if k == 'symlink': os.symlink(op['target'], p); return None
    if k == 'mknod': os.mknod(p, op['mode'], os.makedev(1, 3)); return None
    if k == 'chmod': os.chmod(p, op['mode']); return None
    if k == 'fchmod': os.fchmod(fd, op['mode']); return None
    if k == 'chown': os.chown(p, op['to_uid'], op['to_gid']); return None
    if k == 'fchown': os.fchown(fd, op['to_uid'], op['to_gid']); return None
    if k == 'utimes':
        if op['time'] is None: os.utime(p)
        else: os.utime(p, (op['time'], op['time']))
        return None
    if k == 'setxattr': os.setxattr(p, op['name'], op['data'].encode('latin1'), op['xflags']); return None
    if k == 'fsetxattr': os.setxattr(fd, op['name'], op['data'].encode('latin1'), op['xflags']); return None
    if k == 'getxattr': return text(os.getxattr(p, op['name']))
    if k == 'listxattr': return os.listxattr(p)
    if k == 'removexattr': os.removexattr(p, op['name']); return None
    if k == 'readlink': return os.readlink(p)
    if k == 'readdir': return sorted(os.listdir(p))
    if k == 'access': os.stat(p); return None
    if k == 'mount':
        f = sum({'ro': 1, 'nosuid': 2, 'nodev': 4, 'noexec': 8, 'remount': 32, 'bind': 4096, 'move': 8192, 'rbind': 20480}[w] for w in op['flags'])
        check(libc.mount(op['source'].encode(), p.encode(), op['type'].encode(), f, b'')); return None
    if k == 'umount': check(libc.umount2(p.encode(), 2 if op['detach'] else 0)); return None
    if k in ('stat', 'lstat'):
        s = os.stat(p) if k == 'stat' else os.lstat(p)
        return [s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_size if stat.S_ISREG(s.st_mode) else 0]
    raise SystemExit('unknown op ' + k)

def value(p, x):
    try: return text(os.getxattr(p, x, follow_symlinks=False))
    except OSError: return ''

def dump(d, out):
    for n in sorted(os.listdir(d)):
        p = d + '/' + n if d != '/' else '/' + n
        s = os.lstat(p)
        e = [p, s.st_mode, s.st_nlink, s.st_uid, s.st_gid]
        if stat.S_ISREG(s.st_mode):
            with open(p, 'rb') as f: e.append(text(f.read()))
        elif stat.S_ISLNK(s.st_mode): e.append(os.readlink(p))
        else: e.append('')
        e.append([[x, value(p, x)] for x in os.listxattr(p, follow_symlinks=False)])
        out.append(e)
        if stat.S_ISDIR(s.st_mode): dump(p, out)

def run(ops):
    slots = {}; res = []
    for op in ops:
        uid = op.get('uid', 0); gid = op.get('gid', uid)
        os.umask(op.get('umask', 0o022))
        os.setgroups(op.get('groups', []))
        if uid or gid: os.setegid(gid); os.seteuid(uid)
        try: r = ['OK', one(op, slots)]
        except OSError as e: r = ['EOPNOTSUPP' if e.errno == 95 else errno.errorcode[e.errno], None]
        os.seteuid(0); os.setegid(0); os.setgroups([])
        res.append(r)
    for f in slots.values(): os.close(f)
    out = []; dump('/', out)
    return {'ops': res, 'tree': out}

def mounted(base, ops):
    # an overlay: the first `lower` operations make the lower layer, the others run on the merged tree
    for d in ('l', 'u', 'w', 'm'): os.mkdir(base + '/' + d); os.chmod(base + '/' + d, 0o755)
    os.mkdir(base + '/l/tmp'); os.chmod(base + '/l/tmp', 0o1777)
    pid = os.fork()
    if pid == 0:
        os.chroot(base + '/l'); os.chdir('/'); os.umask(0); run(ops[:job['lower']]); os._exit(0)
    os.waitpid(pid, 0)
    data = 'lowerdir=%s/l,upperdir=%s/u,workdir=%s/w,index=off,%s' % (base, base, base, 'metacopy=on' if job['metacopy'] == 'on' else 'redirect_dir=off,metacopy=off')
    check(libc.mount(b'ov', (base + '/m').encode(), b'overlay', 0, data.encode()))

job = json.load(sys.stdin)
for i, ops in enumerate(job['runs']):
    base = job['base'] + '/r%d' % i
    os.mkdir(base); os.chmod(base, 0o755)
    r, w = os.pipe(); pid = os.fork()
    if pid == 0:
        if 'lower' in job:
            mounted(base, ops); ops = ops[job['lower']:]
            os.chroot(base + '/m'); os.chdir('/')
        else:
            if job.get('mounts'):
                check(libc.unshare(0x20000)); check(libc.mount(b'', b'/', b'', 16384 | (1 << 18), b''))
                check(libc.mount(b't', base.encode(), b'tmpfs', 0, b'mode=755'))
            os.chroot(base); os.chdir('/')
            os.umask(0)
            os.mkdir('/tmp', 0o1777); os.chmod('/tmp', 0o1777)
        data = json.dumps(run(ops)).encode(); os.write(w, data) if len(data) < 60000 else os.fdopen(w, 'wb').write(data)
        os._exit(0)
    os.close(w); print(os.fdopen(r, 'rb').read().decode()); os.waitpid(pid, 0)
    if 'lower' in job: libc.umount2((base + '/m').encode(), 0)
