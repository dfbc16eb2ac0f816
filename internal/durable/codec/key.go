package codec

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	keySize = 32 // AES-256

	// keyFileHeader explains the file to whoever opens it.
	keyFileHeader = `# Liftlock payload keys, base64, one per line. The first encrypts, all decrypt:
# to change the key, put a new one on top (openssl rand -base64 32) and keep the
# others until no history that they encrypted is left. Back this file up apart
# from the store; without it the store cannot be read.
`
)

// key is one key ready for use.
type key struct {
	// id tells keys apart in a payload's metadata. It derives from the key, so
	// it cannot be assigned wrongly, and gives nothing of it away.
	id   string
	aead cipher.AEAD
}

// newKey prepares raw key bytes.
func newKey(raw []byte) (key, error) {
	if len(raw) != keySize {
		return key{}, fmt.Errorf("it has %d bytes, AES-256 needs %d", len(raw), keySize)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return key{}, err
	}
	sum := sha256.Sum256(append([]byte("liftlock key id\x00"), raw...))
	return key{id: hex.EncodeToString(sum[:8]), aead: aead}, nil
}

// loadOrCreate reads a key file, making one first if there is none.
func loadOrCreate(path string) ([]key, error) {
	keys, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("create key file %s: %w", path, err)
	}
	return load(path)
}

// load reads the keys of a file that only its owner may read.
func load(path string) ([]key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	// Windows has no such bits.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("read key file %s: its mode is %#o, so others may read it; run chmod 600 on it", path, mode)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	return parse(path, content)
}

// parse reads the lines of a key file. Errors name the line, never its content.
func parse(path string, content []byte) ([]key, error) {
	var keys []key
	number := 0
	for line := range bytes.Lines(content) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("read key file %s:%d: not base64; restore the file from a backup", path, number)
		}
		k, err := newKey(raw)
		if err != nil {
			return nil, fmt.Errorf("read key file %s:%d: not a key: %w; restore the file from a backup", path, number, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read key file %s: it holds no key; restore it from a backup, or remove it to get a new one (histories encrypted with the old one then stay unreadable)", path)
	}
	return keys, nil
}

// create writes a file with one new key. It appears with its whole content or
// not at all, and never replaces a file that another process made meanwhile:
// what that one has encrypted would be lost.
func create(path string) (err error) {
	raw := make([]byte, keySize)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.WriteString(keyFileHeader + base64.StdEncoding.EncodeToString(raw) + "\n")
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir survive a power cut: the store must not hold
// what no key can read.
func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	// Some systems cannot sync a folder, and have no other way to ask for it.
	_ = folder.Sync()
	return folder.Close()
}
