package fleet

import (
	"cmp"
	"fmt"
	"math"

	"github.com/Masterminds/semver/v3"
)

// Version is a Kubernetes version such as 1.35.4. The zero value means "not
// known" and prints as "unknown".
type Version struct {
	Major, Minor, Patch int
}

// ParseVersion reads "1.35.4" or "v1.35.4", with or without a vendor suffix
// ("v1.35.4-aks.1"), which is dropped: providers add it to the same upstream code.
func ParseVersion(s string) (Version, error) {
	v, err := semver.NewVersion(s)
	if err != nil {
		return Version{}, fmt.Errorf("version %q: not of the form MAJOR.MINOR.PATCH: %w", s, err)
	}
	if max(v.Major(), v.Minor(), v.Patch()) > math.MaxInt32 {
		return Version{}, fmt.Errorf("version %q: number out of range", s)
	}
	return Version{int(v.Major()), int(v.Minor()), int(v.Patch())}, nil
}

// MustParseVersion is ParseVersion for constants; it panics on a malformed one.
func MustParseVersion(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

// Compare orders versions as SemVer does: -1, 0 or +1.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// Less reports whether v comes before w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// IsZero reports whether the version is not known.
func (v Version) IsZero() bool { return v == Version{} }

// SameMinor reports whether both are of one minor line (1.35.x).
func (v Version) SameMinor(w Version) bool { return v.Major == w.Major && v.Minor == w.Minor }

// MinorString is "1.35".
func (v Version) MinorString() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// String is "1.35.4", or "unknown" for the zero value.
func (v Version) String() string {
	if v.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// MarshalText implements encoding.TextMarshaler; the zero value is "".
func (v Version) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return []byte{}, nil
	}
	return []byte(v.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Version) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = Version{}
		return nil
	}
	parsed, err := ParseVersion(string(b))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
