package traffic

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// imageName is what an image of a program is called. No registry knows it.
func imageName(program string) string { return "liftlock.test/" + program + ":1" }

// writeImage writes an image that holds one static program and nothing else, as
// an archive in the OCI image layout (opencontainers/image-spec, image-layout.md).
func writeImage(archive, program string) error {
	content, err := os.ReadFile(filepath.Join(bin.images, program))
	if err != nil {
		return err
	}
	layer, err := archiveOf(file{program, content, 0o755})
	if err != nil {
		return err
	}
	blobs := blobStore{}
	config := map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + program}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	}
	configuration, err := blobs.json("application/vnd.oci.image.config.v1+json", config)
	if err != nil {
		return err
	}
	manifest, err := blobs.json("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": configuration,
		"layers": []descriptor{blobs.add("application/vnd.oci.image.layer.v1.tar", layer)},
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{"io.containerd.image.name": imageName(program)}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}})
	if err != nil {
		return err
	}
	files := []file{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644}, {"index.json", index, 0o644}}
	for sum, blob := range blobs {
		files = append(files, file{"blobs/sha256/" + sum, blob, 0o644})
	}
	image, err := archiveOf(files...)
	if err != nil {
		return err
	}
	return os.WriteFile(archive, image, 0o644)
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// blobStore holds blobs by their SHA-256 sums.
type blobStore map[string][]byte

func (b blobStore) add(mediaType string, blob []byte) descriptor {
	b[fmt.Sprintf("%x", sha256.Sum256(blob))] = blob
	return descriptor{MediaType: mediaType, Digest: digest(blob), Size: len(blob)}
}

func (b blobStore) json(mediaType string, value any) (descriptor, error) {
	blob, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	return b.add(mediaType, blob), nil
}

func digest(blob []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(blob)) }

type file struct {
	name    string
	content []byte
	mode    int64
}

func archiveOf(files ...file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
