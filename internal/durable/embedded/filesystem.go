package embedded

import "fmt"

// minFreeBytes is the room that Start asks for. Below it the first checkpoint
// or schema change could already fail half-way.
const minFreeBytes = 64 << 20

// fileSystem is what Start needs to know about the file system of a folder.
type fileSystem struct {
	// network is the kind of network or user-space file system, empty if local
	// or unknown.
	network string
	// free is the number of bytes that this user may still write, or -1 if
	// unknown.
	free int64
}

// checkFileSystem refuses folders on which SQLite cannot be durable: network
// file systems, whose locks and syncs do not hold what its write-ahead log
// relies on, and full ones.
func checkFileSystem(dir string, fs fileSystem) error {
	if fs.network != "" {
		return fmt.Errorf("start engine: state folder %s is on a %s file system, where SQLite's locks and syncs cannot be trusted; choose a folder on a local disk", dir, fs.network)
	}
	if fs.free >= 0 && fs.free < minFreeBytes {
		return fmt.Errorf("start engine: the disk of %s is full: %d MiB free, at least %d MiB are needed; free some space and start again, nothing is lost", dir, fs.free>>20, int64(minFreeBytes)>>20)
	}
	return nil
}
