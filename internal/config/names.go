package config

import (
	"regexp"
	"strings"
	"time"
	"unicode"
)

var (
	label        = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	guid         = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	domain       = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)+[a-zA-Z]{2,}$`)
	location     = regexp.MustCompile(`^[a-z][a-z0-9]+$`)
	exactVersion = regexp.MustCompile(`^1\.[0-9]{1,3}\.[0-9]{1,4}$`)
	minorVersion = regexp.MustCompile(`^v?1\.[0-9]{1,3}(\.x|\.\*)?$`)
)

// name checks a name that is used in commands, paths and labels (RFC 1123).
func (c *checker) name(path, name string) {
	if name == "" || label.MatchString(name) {
		return
	}
	remedy := "use lower-case letters, digits and dashes, at most 63, with a letter or digit at both ends"
	if near := labelLike(name); near != "" {
		remedy = "write " + near + ": " + remedy
	}
	c.bad(path, "is not a name", remedy)
}

// labelLike makes a name out of a text, or returns "".
func labelLike(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return ""
	}
	mapped := strings.Map(func(r rune) rune {
		switch r = unicode.ToLower(r); {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		default:
			return '-'
		}
	}, text)
	if mapped = strings.Trim(mapped, "-"); label.MatchString(mapped) && !strings.Contains(mapped, "--") {
		return mapped
	}
	return ""
}

// guid checks an id of Azure.
func (c *checker) guid(path, id, of string) {
	if id != "" && !guid.MatchString(id) {
		c.bad(path, "is not the id of "+of, "write the id, of the form 00000000-0000-0000-0000-000000000000, not a name")
	}
}

// subject is what a pattern is matched against: which characters and how many
// of them it can have.
type subject struct {
	what   string
	allows *regexp.Regexp // a name without its stars
	most   int
}

// The subjects of patterns, by Azure's naming rules.
var (
	anyName       = subject{"a name", regexp.MustCompile(`^[^\x00-\x1f\[\]\\]*$`), 1000}
	clusterName   = subject{"a cluster", regexp.MustCompile(`^[A-Za-z0-9_-]*$`), 63}
	poolName      = subject{"a node pool", regexp.MustCompile(`^[a-z0-9]*$`), 12}
	resourceGroup = subject{"a resource group", regexp.MustCompile(`^[\p{L}\p{N}_().-]*$`), 90}
)

// pattern checks a pattern with * for any text and ? for one character.
func (c *checker) pattern(path, pattern string, of subject) {
	if pattern == "" {
		return
	}
	literal := strings.NewReplacer("*", "", "?", "").Replace(pattern)
	switch {
	case strings.ContainsAny(pattern, `[]\`) || strings.HasPrefix(pattern, "^") || strings.HasSuffix(pattern, "$") || strings.Contains(pattern, ".*"):
		c.bad(path, "looks like a regular expression", "patterns know only * for any text and ? for one character")
	case !of.allows.MatchString(literal):
		c.bad(path, "can match no "+strings.TrimPrefix(of.what, "a ")+": it has characters that no name of one has", "patterns know only * for any text and ? for one character; names are matched whole")
	case len([]rune(strings.ReplaceAll(pattern, "*", ""))) > of.most:
		c.bad(path, "can match no "+strings.TrimPrefix(of.what, "a ")+": it is longer than any name of one", "shorten it, or put a * in place of the end")
	}
}

// patterns checks a list of patterns.
func (c *checker) patterns(path string, patterns []string, of subject) {
	for i, p := range patterns {
		c.pattern(item(path, i), p, of)
	}
}

// tags checks the tags of a source or selector: names as Azure has them, values
// as patterns.
func (c *checker) tags(path string, tags map[string]string) {
	for name, value := range tags {
		at := field(path, name)
		if strings.ContainsAny(name, `<>%&\?/`) || len(name) > 512 {
			c.bad(at, "is a tag that Azure does not allow", `tag names have at most 512 characters and none of < > % & \ ? /`)
			continue
		}
		c.pattern(at, value, anyName)
	}
}

// timeZone checks the name of a time zone and loads it; nil where it is bad.
func (c *checker) timeZone(path, name string) *time.Location {
	if !c.sound(path) {
		return nil
	}
	zone, err := loadZone(name)
	if err == nil {
		return zone
	}
	remedy := "write an IANA name, such as Europe/Oslo, America/New_York or UTC"
	switch {
	case strings.ContainsAny(name, "+-") && strings.ContainsAny(name, "0123456789"):
		remedy += ": an offset does not know daylight saving"
	case strings.HasSuffix(name, " Time"):
		remedy += ": names of Windows are not known"
	default:
		if near := zoneLike(name); near != "" {
			remedy = "did you mean " + near + "? Otherwise " + remedy
		}
	}
	c.bad(path, "is not a time zone", remedy)
	return nil
}

// loadZone loads a time zone by its IANA name.
func loadZone(name string) (*time.Location, error) {
	// Names without an area are abbreviations of which some load, mean an
	// offset without daylight saving (EST), and surprise. "" and "Local" load
	// too, as UTC and as whatever the machine is set to.
	if name != "UTC" && !strings.Contains(name, "/") {
		return nil, errZone
	}
	return time.LoadLocation(name)
}

// zoneLike tries the usual slips in a zone's name: case and spaces.
func zoneLike(name string) string {
	if strings.EqualFold(name, "utc") || strings.EqualFold(name, "gmt") || name == "Z" {
		return "UTC"
	}
	upper := true
	fixed := strings.Map(func(r rune) rune {
		if r == ' ' {
			r = '_'
		}
		if upper {
			r = unicode.ToUpper(r)
		} else {
			r = unicode.ToLower(r)
		}
		upper = r == '/' || r == '_' || r == '-'
		return r
	}, name)
	if _, err := loadZone(fixed); err == nil && fixed != name {
		return fixed
	}
	return ""
}

// zoneOf loads the zone of a window or freeze: its own or the file's. It
// returns nil, and has reported why, where there is none but one is needed.
func (c *checker) zoneOf(at, name string, needed bool) *time.Location {
	path := field(at, "timeZone")
	switch {
	case name != "" || c.broken[path]:
		return c.timeZone(path, name)
	case c.broken["spec.timeZone"]:
		return nil
	case c.zone != "":
		if zone, err := loadZone(c.zone); err == nil {
			return zone
		}
		return nil
	case !needed:
		return time.UTC
	}
	c.bad(path, "is required and not given", "add timeZone here, or once for the whole file as spec.timeZone: an IANA name, such as Europe/Oslo")
	return nil
}
