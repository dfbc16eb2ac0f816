package codec

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

type token struct {
	URL  string
	Step int
}

const secret = "https://management.example/operations/1?sig=very-secret"

func mustNew(t *testing.T, file string) converter.DataConverter {
	t.Helper()
	data, err := New(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustEncode(t *testing.T, data converter.DataConverter, value any) *commonpb.Payload {
	t.Helper()
	payload, err := data.ToPayload(value)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestRoundTrip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "payload.key")
	data := mustNew(t, file)
	want := token{URL: secret, Step: 3}

	payload := mustEncode(t, data, want)
	raw, err := proto.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"very-secret", "management", "Step"} {
		if strings.Contains(string(raw), part) {
			t.Errorf("payload shows %q: %q", part, raw)
		}
	}
	if again := mustEncode(t, data, want); string(again.Data) == string(payload.Data) {
		t.Error("the same value gave the same bytes twice")
	}

	// A second process finds the key that the first one made.
	var got token
	if err := mustNew(t, file).FromPayload(payload, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}

func TestRoundTripOfNothing(t *testing.T) {
	data := mustNew(t, filepath.Join(t.TempDir(), "payload.key"))
	text, list, pointer := "before", []byte("before"), &token{}
	for value, into := range map[any]any{"": &text, (*token)(nil): &pointer} {
		if err := data.FromPayload(mustEncode(t, data, value), into); err != nil {
			t.Errorf("%#v: %v", value, err)
		}
	}
	if err := data.FromPayload(mustEncode(t, data, []byte{}), &list); err != nil {
		t.Error(err)
	}
	if text != "" || pointer != nil || len(list) != 0 {
		t.Errorf("got %q, %v, %q", text, pointer, list)
	}
}

func TestPlainPayloadsPass(t *testing.T) {
	data := mustNew(t, filepath.Join(t.TempDir(), "payload.key"))
	plain, err := converter.GetDefaultDataConverter().ToPayload("from the operator")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := data.FromPayload(plain, &got); err != nil || got != "from the operator" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestChangedPayloadsAreRefused(t *testing.T) {
	dir := t.TempDir()
	data := mustNew(t, filepath.Join(dir, "payload.key"))
	stranger := mustEncode(t, mustNew(t, filepath.Join(dir, "other.key")), "x")

	for name, change := range map[string]struct {
		change func(p *commonpb.Payload)
		want   string
	}{
		"last bit":   {func(p *commonpb.Payload) { p.Data[len(p.Data)-1] ^= 1 }, "changed or damaged"},
		"nonce":      {func(p *commonpb.Payload) { p.Data[0] ^= 1 }, "changed or damaged"},
		"cut":        {func(p *commonpb.Payload) { p.Data = p.Data[:20] }, "changed or damaged"},
		"cut short":  {func(p *commonpb.Payload) { p.Data = p.Data[:3] }, "changed or damaged"},
		"empty":      {func(p *commonpb.Payload) { p.Data = nil }, "changed or damaged"},
		"other data": {func(p *commonpb.Payload) { p.Data = stranger.Data }, "changed or damaged"},
		"other key":  {func(p *commonpb.Payload) { p.Metadata = stranger.Metadata }, "put the key file back"},
		"no key":     {func(p *commonpb.Payload) { delete(p.Metadata, metadataKeyID) }, "put the key file back"},
		"cipher":     {func(p *commonpb.Payload) { p.Metadata[metadataCipher] = []byte("ROT13") }, `cipher is "ROT13"`},
	} {
		t.Run(name, func(t *testing.T) {
			payload := mustEncode(t, data, secret)
			change.change(payload)
			var got string
			err := data.FromPayload(payload, &got)
			if err == nil || !strings.Contains(err.Error(), change.want) {
				t.Errorf("got %q, %v; want an error with %q", got, err, change.want)
			}
		})
	}
}

func TestWrongKeyNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	payload := mustEncode(t, mustNew(t, filepath.Join(dir, "payload.key")), secret)
	other := filepath.Join(dir, "other.key")
	var got string
	err := mustNew(t, other).FromPayload(payload, &got)
	if err == nil {
		t.Fatal("decrypted with another key")
	}
	for _, want := range []string{other, string(payload.Metadata[metadataKeyID])} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
}

func TestOldKeysStillDecrypt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "payload.key")
	old := mustEncode(t, mustNew(t, file), secret)

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const fresh = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	if err := os.WriteFile(file, []byte(fresh+string(content)), 0o600); err != nil {
		t.Fatal(err)
	}
	data := mustNew(t, file)
	var got string
	if err := data.FromPayload(old, &got); err != nil || got != secret {
		t.Errorf("old payload: got %q, %v", got, err)
	}
	if again := mustEncode(t, data, secret); string(again.Metadata[metadataKeyID]) == string(old.Metadata[metadataKeyID]) {
		t.Error("the new key is not used")
	}
}

func TestKeyFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "payload.key")
	mustNew(t, file)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by all: %v", err)
	}
}

func TestBadKeyFiles(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"empty":      {"", "holds no key"},
		"comment":    {"# nothing here\n\n", "holds no key"},
		"not base64": {"# keys\n%%%very-secret\n", ":2: not base64"},
		"too short":  {"AAECAwQF\n", ":1: not a key: it has 6 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "payload.key")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := New(file)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "very-secret") {
				t.Errorf("shows the content: %v", err)
			}
		})
	}
	t.Run("no folder", func(t *testing.T) {
		if _, err := New(filepath.Join(t.TempDir(), "missing", "payload.key")); err == nil {
			t.Error("no error")
		}
	})
}

func TestFailuresAreEncrypted(t *testing.T) {
	data := mustNew(t, filepath.Join(t.TempDir(), "payload.key"))
	failures := NewFailureConverter(data)
	failure := failures.ErrorToFailure(temporal.NewApplicationErrorWithCause("upgrade failed at "+secret, "Refused", errors.New(secret), secret))
	raw, err := proto.Marshal(failure)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "very-secret") {
		t.Errorf("failure shows its message: %q", raw)
	}
	back := failures.FailureToError(failure)
	if !strings.Contains(back.Error(), secret) {
		t.Errorf("lost its message: %v", back)
	}
	if cause := errors.Unwrap(back); cause == nil || !strings.Contains(cause.Error(), secret) {
		t.Errorf("lost its cause: %v", cause)
	}
}

func TestConcurrentCreationAgreesOnOneKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "payload.key")
	type result struct {
		data converter.DataConverter
		err  error
	}
	results := make(chan result)
	const n = 16
	for range n {
		go func() {
			data, err := New(file)
			results <- result{data, err}
		}()
	}
	var all []converter.DataConverter
	for range n {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		all = append(all, r.data)
	}
	payload := mustEncode(t, all[0], secret)
	for _, data := range all[1:] {
		var got string
		if err := data.FromPayload(payload, &got); err != nil {
			t.Fatal(err)
		}
	}
}
