package azure

import "strings"

// matches reports whether a name matches a pattern in which * stands for any
// characters and ? for one. Case is ignored, as Azure ignores it in names, tag
// keys and ids. Nothing else is special: resource groups may hold brackets.
func matches(pattern, name string) bool {
	p, n := []rune(strings.ToLower(pattern)), []rune(strings.ToLower(name))
	pi, ni := 0, 0
	star, mark := -1, 0 // the last * and what it has swallowed up to
	for ni < len(n) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, ni
			pi++
		case pi < len(p) && (p[pi] == '?' || p[pi] == n[ni]):
			pi++
			ni++
		case star >= 0:
			mark++
			pi, ni = star+1, mark
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?") }

// tagged reports whether tags hold all that is wanted: keys without regard to
// case, values as patterns.
func tagged(tags, wanted map[string]string) bool {
	for key, pattern := range wanted {
		found := false
		for k, v := range tags {
			if strings.EqualFold(k, key) && matches(pattern, v) {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}
