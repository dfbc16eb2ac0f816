//go:build !linux

package embedded

// statFileSystem knows nothing about file systems here: kind and free space
// count as fine, and SQLite's own errors speak later.
func statFileSystem(string) (fileSystem, error) {
	return fileSystem{free: -1}, nil
}
