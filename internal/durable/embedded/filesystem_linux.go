package embedded

import (
	"fmt"
	"syscall"
)

// networkMagic names the file systems that are refused by the magic number
// that statfs reports (statfs(2), linux/magic.h). FUSE is among them: what lies
// behind it is usually another machine or the host of a virtual one.
var networkMagic = map[uint32]string{
	0x00006969: "NFS",
	0x0000517b: "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x65735546: "FUSE",
	0x01021997: "9P",
	0x00c36400: "Ceph",
	0x5346414f: "OpenAFS",
	0x6b414653: "AFS",
	0x73757245: "Coda",
	0x0bd00bd0: "Lustre",
	0x47504653: "GPFS",
	0x19830326: "BeeGFS",
	0xaad7aaea: "PanFS",
	0x01161970: "GFS2",
	0x7461636f: "OCFS2",
	0xbacbacbc: "VMware shared-folder",
	0x786f4256: "VirtualBox shared-folder",
}

// statFileSystem asks the kernel about the file system of dir.
func statFileSystem(dir string) (fileSystem, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return fileSystem{}, fmt.Errorf("start engine: look at the file system of %s: %w", dir, err)
	}
	return fileSystem{
		network: networkMagic[uint32(stat.Type)],
		free:    int64(stat.Bavail) * int64(stat.Bsize), //nolint:unconvert // no disk holds 8 EiB; the types differ by architecture
	}, nil
}
