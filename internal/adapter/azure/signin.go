package azure

import "strings"

// signIn shortens what the identity library says of a sign-in that failed: one
// sentence for each credential that it tried, without dumps of HTTP exchanges.
// Of a response's body it keeps the directory's own reason (AADSTS…).
func signIn(message string) string {
	var said []string
	dump := false
	for line := range strings.Lines(message) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "Attempted credentials:"):
		case strings.Trim(line, "-") == "":
			dump = true // what stands between rulers is the response
		case strings.HasPrefix(line, "RESPONSE "):
			said = append(said, "the answer was "+strings.TrimPrefix(line, "RESPONSE "))
		case strings.HasPrefix(line, "To troubleshoot"):
			dump = false
		case strings.HasPrefix(line, "GET "), strings.HasPrefix(line, "POST "):
			said = append(said, line)
		case dump && strings.Contains(line, "AADSTS"):
			_, reason, _ := strings.Cut(line, "AADSTS")
			reason, _, _ = strings.Cut(reason, `"`)
			said = append(said, "AADSTS"+strings.TrimSuffix(reason, "."))
		case dump && !credentialLine(line):
		default:
			dump = false
			said = append(said, strings.TrimSuffix(line, "."))
		}
	}
	return strings.Join(said, "; ")
}

// credentialLine reports whether a line begins what is said of the next
// credential: "AzureCLICredential: executable not found on path".
func credentialLine(line string) bool {
	name, _, _ := strings.Cut(line, " ")
	return strings.HasSuffix(strings.TrimSuffix(name, ":"), "Credential")
}
