package manifest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
)

// packed reads the manifests in a packed chart, and in the charts packed in it.
func (f *findings) packed(path, name string) {
	in, err := os.Open(path)
	if err != nil {
		f.skip(name, 0, "cannot be read: %s", cause(err))
		return
	}
	defer func() { _ = in.Close() }()
	budget := int64(maxFile)
	f.archive(in, name, &budget, 0)
}

// archive reads an archive. budget is how much all of it may still come to: a few
// bytes can unpack to any number of them.
func (f *findings) archive(in io.Reader, name string, budget *int64, depth int) {
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		f.skip(name, 0, "is no packed chart: %s", err)
		return
	}
	limited := &io.LimitedReader{R: unpacked, N: *budget + 1}
	defer func() { *budget = limited.N - 1 }()
	files := tar.NewReader(limited)
	for {
		header, err := files.Next()
		switch {
		case limited.N <= 0:
			f.skip(name, 0, "unpacks to more than %d MiB: the rest of it was not read", maxFile>>20)
			return
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			f.skip(name, 0, "is cut off or damaged: %s; the rest of it was not read", err)
			return
		}
		inner := name + ":" + header.Name
		if header.Typeflag != tar.TypeReg || !mayHold(header.Name) {
			continue
		}
		text, err := io.ReadAll(files)
		switch {
		case limited.N <= 0:
			continue // told above
		case err != nil:
			f.skip(inner, 0, "cannot be read: %s", err)
		case !isPacked(header.Name):
			f.text(inner, text)
		case depth >= 4:
			f.skip(inner, 0, "is packed in too many others")
		default:
			*budget = limited.N - 1
			f.archive(bytes.NewReader(text), inner, budget, depth+1)
		}
	}
}
