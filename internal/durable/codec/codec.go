// Package codec encrypts what workflows and activities exchange, so that it is
// unreadable in the engine's store, in its backups, and on a Temporal cluster
// that others operate. Resume tokens are why: they hold signed URLs.
//
// It covers inputs, results, signals, queries, heartbeats, and the messages and
// stack traces of failures. Workflow ids, types, task queues, search attributes
// and the keys of memos stay readable; nothing secret belongs there. Where the
// key file lies and who may read it is the caller's to decide.
package codec

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

const (
	// encoding marks a payload as one of ours.
	encoding = "binary/encrypted"
	// cipherName says how, for whoever looks at a payload without this code.
	cipherName = "AES-256-GCM"

	metadataCipher = "encryption-cipher"
	metadataKeyID  = "encryption-key-id"
)

// errDamaged is what a payload gives that was changed after it was encrypted.
var errDamaged = errors.New("it was changed or damaged after it was encrypted")

// New returns a data converter that encrypts with the first key in a key file
// and decrypts with any of them. A missing file is created with a new key,
// readable by this user alone.
//
// Every process that runs the workflows of one store needs the same keys. Keep
// the file when it is the store that is lost, and the store useless when it is
// the file: there is no way back without it.
func New(keyFile string) (converter.DataConverter, error) {
	keys, err := loadOrCreate(keyFile)
	if err != nil {
		return nil, err
	}
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), &payloadCodec{file: keyFile, keys: keys}), nil
}

// NewFailureConverter returns a failure converter that puts error messages and
// stack traces through the data converter as well. Without it they stay
// readable in the histories.
func NewFailureConverter(data converter.DataConverter) converter.FailureConverter {
	return temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter:          data,
		EncodeCommonAttributes: true,
	})
}

// payloadCodec encrypts and decrypts whole payloads, metadata included.
type payloadCodec struct {
	file string
	keys []key // never empty, the first encrypts
}

var _ converter.PayloadCodec = (*payloadCodec)(nil)

// Encode encrypts each payload with the first key.
func (c *payloadCodec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encrypt payload: %w", err)
		}
		k := c.keys[0]
		sealed, err := seal(k.aead, plain, associated(k.id))
		if err != nil {
			return nil, fmt.Errorf("encrypt payload: %w", err)
		}
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{
				converter.MetadataEncoding: []byte(encoding),
				metadataCipher:             []byte(cipherName),
				metadataKeyID:              []byte(k.id),
			},
			Data: sealed,
		}
	}
	return out, nil
}

// Decode decrypts the payloads that Encode made and passes others on as they
// are: an operator's signal sent with Temporal's own tools is not encrypted.
func (c *payloadCodec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encoding {
			out[i] = p
			continue
		}
		plain, err := c.open(p)
		if err != nil {
			return nil, err
		}
		out[i] = plain
	}
	return out, nil
}

// open decrypts one payload.
func (c *payloadCodec) open(p *commonpb.Payload) (*commonpb.Payload, error) {
	if got := string(p.GetMetadata()[metadataCipher]); got != cipherName {
		return nil, fmt.Errorf("decrypt payload: its cipher is %q, this binary knows %s; run the newer liftlock that wrote it", got, cipherName)
	}
	id := string(p.GetMetadata()[metadataKeyID])
	k, ok := c.key(id)
	if !ok {
		return nil, fmt.Errorf("decrypt payload: it was encrypted with key %s, which is not in %s (it holds %s); put the key file back that belongs to this store", id, c.file, strings.Join(c.ids(), ", "))
	}
	plain, err := unseal(k.aead, p.GetData(), associated(id))
	if err != nil {
		return nil, fmt.Errorf("decrypt payload with key %s: %w", id, err)
	}
	var out commonpb.Payload
	if err := proto.Unmarshal(plain, &out); err != nil {
		return nil, fmt.Errorf("decrypt payload with key %s: read the content: %w", id, err)
	}
	return &out, nil
}

func (c *payloadCodec) key(id string) (key, bool) {
	i := slices.IndexFunc(c.keys, func(k key) bool { return k.id == id })
	if i < 0 {
		return key{}, false
	}
	return c.keys[i], true
}

func (c *payloadCodec) ids() []string {
	ids := make([]string, len(c.keys))
	for i, k := range c.keys {
		ids[i] = k.id
	}
	return ids
}

// associated binds what the metadata says to the encrypted bytes.
func associated(id string) []byte {
	return []byte(encoding + "\x00" + cipherName + "\x00" + id)
}

// seal encrypts plain behind a fresh random nonce.
func seal(aead cipher.AEAD, plain, associated []byte) ([]byte, error) {
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce, plain, associated), nil
}

// unseal reverses seal.
func unseal(aead cipher.AEAD, sealed, associated []byte) ([]byte, error) {
	if len(sealed) < aead.NonceSize() {
		return nil, errDamaged
	}
	nonce, box := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, box, associated)
	if err != nil {
		return nil, errDamaged
	}
	return plain, nil
}
