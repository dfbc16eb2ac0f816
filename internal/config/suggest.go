package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// nearest returns the candidate that a mistyped word most likely means, or "".
func nearest(word string, candidates []string) string {
	best, distance := "", 1+len(word)/3
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return c
		}
		if d := edits(strings.ToLower(word), strings.ToLower(c), distance); d <= distance && (best == "" || d < distance) {
			best, distance = c, d
		}
	}
	return best
}

// edits counts the insertions, deletions, replacements and swaps of neighbours
// that turn one word into another; anything above most is as good as most+1.
func edits(a, b string, most int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// otherWords are names that people bring from other tools, and ours.
var otherWords = map[string]string{
	"environments": "rings", "stages": "rings", "groups": "rings", "waves": "rings",
	"parallelism": "concurrency", "maxparallel": "concurrency", "maxconcurrency": "concurrency",
	"schedule": "windows", "maintenancewindows": "windows", "maintenancewindow": "windows", "window": "windows",
	"tz": "timeZone", "utcoffset": "timeZone", "location": "timeZone",
	"blackouts": "freezes", "notalloweddates": "freezes", "freeze": "freezes",
	"selector": "select", "matchlabels": "tags", "labels": "tags",
	"begin": "start", "starttime": "start", "endtime": "end", "durationhours": "duration",
	"kubernetesversion": "version", "upgradechannel": "channel",
	"clusters": "names", "subscriptionid": "subscription", "to": "until",
	"exceptions": "accept", "acceptances": "accept", "waivers": "accept",
	"pools": "poolOrder", "nodepools": "poolOrder", "bluegreen": "strategy",
}

// elsewhere says what a key that is unknown in one place was likely meant to
// be: the known key, if one comes to mind, and the remedy in words.
func elsewhere(key string, known []string, places map[string][]string) (meant, remedy string) {
	meant = otherWords[strings.ToLower(key)]
	if !slices.Contains(known, meant) {
		meant = nearest(key, known)
	}
	switch at := places[key]; {
	case meant != "":
		return meant, fmt.Sprintf("did you mean %s?", meant)
	case len(at) > 0:
		return "", fmt.Sprintf("%s belongs in %s", key, strings.Join(at, " or "))
	case len(known) == 1:
		return "", "the only key here is " + known[0]
	}
	return "", "the keys here are " + strings.Join(known, ", ")
}

// secretKey matches the names under which people keep secrets.
var secretKey = regexp.MustCompile(`(?i)(secret|password|passwd|pwd|credential|apikey|api_key|accesskey|privatekey|private_key|connectionstring|sastoken|token)$`)

// secretText matches texts that are secrets by their looks: private keys,
// tokens (JWT), client secrets of Entra, shared access signatures, and
// passwords in addresses.
var secretText = regexp.MustCompile(`-----BEGIN|eyJ[A-Za-z0-9_-]{10,}\.|[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{20,}|[?&]sig=|://[^/@\s]*:[^/@\s]*@`)

// show writes a text as it is shown to people: quoted, in one line, cut when
// long, and hidden where it may be a secret.
func show(text string) string {
	if secretText.MatchString(text) {
		return hidden
	}
	const most = 60
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

const hidden = "a hidden value"
