package helm

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// packed is what is taken of a stored release. Its values and its chart are passed
// over and never held.
type packed struct {
	Manifest string `json:"manifest"`
	Hooks    []struct {
		Path     string `json:"path"`
		Manifest string `json:"manifest"`
	} `json:"hooks"`
	Info struct {
		Status       string `json:"status"`
		LastDeployed string `json:"last_deployed"`
	} `json:"info"`
}

// maxUnpacked bounds what a release may come to. A Secret holds 1 MiB, which can
// be a thousand times that.
const maxUnpacked = 32 << 20

// unpack reads a stored release: JSON, compressed, in base64, and in base64 once
// more where a Secret has it as the API server sends it.
func unpack(data []byte) (*packed, error) {
	plain := bytes.TrimSpace(data)
	for range 2 {
		if bytes.HasPrefix(plain, []byte{0x1f, 0x8b}) || bytes.HasPrefix(plain, []byte("{")) {
			break
		}
		decoded := make([]byte, base64.StdEncoding.DecodedLen(len(plain)))
		n, err := base64.StdEncoding.Decode(decoded, plain)
		if err != nil {
			return nil, errors.New("cannot be read: it is not in base64")
		}
		plain = bytes.TrimSpace(decoded[:n])
	}
	if len(plain) == 0 {
		return nil, errors.New("is empty: it has nothing under data.release")
	}
	var in io.Reader = bytes.NewReader(plain)
	if bytes.HasPrefix(plain, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, errors.New("cannot be read: its compression is damaged")
		}
		in = unzipped
	}
	limited := &io.LimitedReader{R: in, N: maxUnpacked + 1}
	var p packed
	err := json.NewDecoder(limited).Decode(&p)
	var mistyped *json.UnmarshalTypeError
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("cannot be read: it unpacks to more than %d MiB", maxUnpacked>>20)
	case errors.As(err, &mistyped):
		return nil, fmt.Errorf("cannot be read: %s is a %s there", mistyped.Field, mistyped.Value)
	case err != nil: // the text of the error could hold a part of the release
		return nil, errors.New("cannot be read: it is no release in JSON, or was cut off")
	}
	return &p, nil
}
