package azure

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
)

// maxMessage bounds what is kept of a service's words, in bytes.
const maxMessage = 2000

// What must not reach logs, errors and histories: queries (AKS signs the URLs
// of its operations there), tokens, and anything named like a secret.
var (
	queries = regexp.MustCompile(`\?[^\s"'<>\\=?]*=[^\s"'<>\\]*`)
	bearers = regexp.MustCompile(`(?i)\b(bearer|basic|sharedaccesssignature)\s+[A-Za-z0-9._~+/=%&-]{8,}`)
	jwts    = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`)
	secrets = regexp.MustCompile(`(?i)\b(sig|client_secret|client_assertion|assertion|access_token|refresh_token|id_token|accountkey|sharedaccesskey|password|secret)(\\?["']?\s*[=:]\s*\\?["']?)[^\s"'&;,<>\\]+`)
)

const removed = "[removed]"

// scrub makes a text fit to be shown and kept: one line of bounded length, free
// of signed URLs, tokens and control characters.
func scrub(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	s = queries.ReplaceAllString(s, "")
	s = bearers.ReplaceAllString(s, "$1 "+removed)
	s = jwts.ReplaceAllString(s, removed)
	s = secrets.ReplaceAllString(s, "$1$2"+removed)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

// scrubbed is an error whose text is scrubbed. It has no Unwrap on purpose:
// whoever stores the chain of an error's texts must not store the raw one. Code
// may still ask for its kind by errors.Is and errors.As.
type scrubbed struct{ err error }

// Error implements error.
func (s *scrubbed) Error() string { return scrub(s.err.Error()) }

// Is and As look through to the raw error.
func (s *scrubbed) Is(target error) bool { return errors.Is(s.err, target) }

// As looks through to the raw error.
func (s *scrubbed) As(target any) bool { return errors.As(s.err, target) }
