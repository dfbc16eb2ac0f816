package azure

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// refusal is what the service said, taken apart: the same for a call that was
// turned down and for an operation that ended badly.
type refusal struct {
	ended   bool // an operation that was accepted and ended badly
	status  int  // HTTP status; 200 for an operation that ended
	code    string
	message string
	// codes are all codes in it, the outermost first: its own, its subcode,
	// those of its details and those that are quoted within messages.
	codes []string
	// parts counts what was read of it.
	parts int
}

// Limits of what is read of an error, which may come from anybody in between.
const (
	maxErrorDepth = 6
	maxErrorCodes = 32
	maxErrorParts = 200
	maxErrorText  = 8 * maxMessage // of one text, in bytes
)

// quotedCode finds the codes of other services that AKS quotes in its messages:
// Code='SubnetIsFull', Code="QuotaExceeded", \"code\": \"AllocationFailed\",
// ErrorCode: X.
var quotedCode = regexp.MustCompile(`(?i)\b(?:error|sub)?code\\*["']?\s*[:=]\s*\\*["']?([A-Za-z][A-Za-z0-9_.]{2,80})`)

// armError is the error object of the resource manager, AKS's flat one, and
// that of an operation's status, which all differ in what is around it.
type armError struct {
	Code    string          `json:"code"`
	Subcode string          `json:"subcode"`
	Message string          `json:"message"`
	Details json.RawMessage `json:"details"`
	Inner   *armError       `json:"innererror"`
}

// parseRefusal takes the body of an answer apart. headerCode is the header
// x-ms-error-code, which the SDK prefers. A body that is no JSON becomes the
// message.
func parseRefusal(status int, headerCode string, body []byte) refusal {
	r := refusal{status: status, ended: status >= 200 && status < 300}
	r.add(headerCode)
	var outer struct {
		Error  json.RawMessage `json:"error"`
		Status string          `json:"status"`
		// The resource itself, where an operation has no status of its own.
		Properties struct {
			ProvisioningState string `json:"provisioningState"`
			Status            struct {
				ProvisioningError json.RawMessage `json:"provisioningError"`
			} `json:"status"`
		} `json:"properties"`
	}
	if json.Unmarshal(body, &outer) != nil {
		// A field of an unexpected type must not hide the error beside it.
		var parts map[string]json.RawMessage
		if json.Unmarshal(body, &parts) == nil {
			outer.Error = parts["error"]
		} else {
			r.say(string(body))
		}
	}
	switch {
	case len(outer.Error) > 0 && string(outer.Error) != "null":
		r.read(outer.Error, 0)
	case len(outer.Properties.Status.ProvisioningError) > 0:
		r.read(outer.Properties.Status.ProvisioningError, 0)
	default:
		r.read(body, 0)
	}
	if r.message == "" {
		switch {
		case outer.Status != "":
			r.message = "the operation ended " + outer.Status
		case outer.Properties.ProvisioningState != "":
			r.message = "the provisioning state is " + outer.Properties.ProvisioningState
		}
	}
	if outer.Status != "" && r.ended {
		r.add("status." + outer.Status)
	}
	for _, m := range quotedCode.FindAllStringSubmatch(r.message, maxErrorCodes) {
		r.add(m[1])
	}
	if len(r.codes) > 0 && !strings.HasPrefix(r.codes[0], "status.") {
		r.code = r.codes[0]
	}
	r.message = scrub(r.message)
	return r
}

// read adds an error object, or a list of them, and what is nested in it.
func (r *refusal) read(raw json.RawMessage, depth int) {
	if r.parts++; depth > maxErrorDepth || r.parts > maxErrorParts || len(raw) == 0 {
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, item := range list[:min(len(list), maxErrorCodes)] {
			r.read(item, depth+1)
		}
		return
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		r.say(text)
		return
	}
	var e armError
	if json.Unmarshal(raw, &e) != nil {
		// "innererror" or "code" of another type: keep the words at least.
		var words struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &words) == nil {
			r.say(words.Message)
		}
		return
	}
	r.add(e.Code)
	r.add(e.Subcode)
	if message := strings.TrimSpace(e.Message); strings.HasPrefix(message, "{") && json.Valid([]byte(message)) {
		// Some services wrap the whole answer of another into their message.
		var wrapped struct {
			Error json.RawMessage `json:"error"`
		}
		if json.Unmarshal([]byte(message), &wrapped) == nil && len(wrapped.Error) > 0 {
			r.read(wrapped.Error, depth+1)
		} else {
			r.read(json.RawMessage(message), depth+1)
		}
	} else {
		r.say(e.Message)
	}
	r.read(e.Details, depth+1)
	if e.Inner != nil {
		r.add(e.Inner.Code)
		r.say(e.Inner.Message)
	}
}

func (r *refusal) add(code string) {
	if code == "" || len(r.codes) >= maxErrorCodes || slices.ContainsFunc(r.codes, func(c string) bool { return strings.EqualFold(c, code) }) {
		return
	}
	r.codes = append(r.codes, code)
}

// say appends to the message what it does not say yet.
func (r *refusal) say(text string) {
	text = strings.TrimSpace(text[:min(len(text), maxErrorText)])
	switch {
	case text == "" || strings.Contains(r.message, text) || len(r.message) > maxErrorText:
	case r.message == "":
		r.message = text
	default:
		r.message += " | " + text
	}
}

// has reports whether one of the codes occurs anywhere in the refusal.
func (r *refusal) has(codes ...string) bool {
	return slices.ContainsFunc(r.codes, func(c string) bool {
		return slices.ContainsFunc(codes, func(want string) bool { return strings.EqualFold(c, want) })
	})
}
