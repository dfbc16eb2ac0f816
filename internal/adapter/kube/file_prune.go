package kube

import (
	"bytes"
	"errors"
)

// branches are what is left out of objects before they are decoded, by key;
// "*" stands for the items of a list. A nil branch is left out whole. They are
// what is large, and what no decision can depend on: who wrote which field, what
// containers are started with, volumes that hold no data of the pod's own, the
// templates of controllers.
type branches map[string]branches

var leftOut = func() branches {
	container := branches{"*": {
		"env": nil, "envFrom": nil, "command": nil, "args": nil, "ports": nil, "securityContext": nil,
		"livenessProbe": nil, "startupProbe": nil, "lifecycle": nil,
		"readinessProbe": {"exec": nil, "httpGet": nil, "tcpSocket": nil, "grpc": nil}, // that there is one matters, not what it does
	}}
	status := branches{"*": {"lastState": nil, "containerID": nil, "imageID": nil, "volumeMounts": nil}}
	return branches{
		"metadata": {
			"managedFields": nil,
			"annotations":   {"kubectl.kubernetes.io/last-applied-configuration": nil},
		},
		"spec": {
			"containers": container, "initContainers": container, "ephemeralContainers": nil,
			"volumes":  {"*": {"projected": nil, "configMap": nil, "secret": nil, "downwardAPI": nil}},
			"template": nil, "volumeClaimTemplates": nil, "jobTemplate": nil,
		},
		"status": {"containerStatuses": status, "initContainerStatuses": status, "ephemeralContainerStatuses": nil},
	}
}()

// notHead is what is left out of objects of which only the head matters: what
// they are, and who wrote them at which version. Fields are not looked into.
var notHead = branches{
	"metadata": {"managedFields": {"*": {"fieldsV1": nil}}},
	"spec":     nil, "status": nil, "data": nil, "binaryData": nil, "stringData": nil, "rules": nil,
	"webhooks": nil, "endpoints": nil, "subsets": nil, "template": nil, "parameters": nil,
}

// errNoPrune: the text is not what it should be. Whoever decodes it says why.
var errNoPrune = errors.New("not pruned")

// pruner copies one JSON value without what is left out, and without white
// space between what it looks into.
type pruner struct {
	in  []byte
	pos int
	out []byte
	// apiVersion and kind are those of the object.
	apiVersion, kind []byte
}

// prune appends the object to out without what is left out, and finds its kind.
func prune(raw, out []byte, without branches) (pruned, apiVersion, kind []byte, err error) {
	p := &pruner{in: raw, out: out}
	if err := p.object(without, true); err != nil {
		return out, p.apiVersion, p.kind, err
	}
	return p.out, p.apiVersion, p.kind, nil
}

func (p *pruner) space() byte {
	for p.pos < len(p.in) {
		switch c := p.in[p.pos]; c {
		case ' ', '\n', '\t', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

// object copies an object; top is set for the whole one.
func (p *pruner) object(out branches, top bool) error {
	if p.space() != '{' {
		return p.copy() // another type: the decoder will say so
	}
	p.pos++
	p.out = append(p.out, '{')
	for first := true; ; first = false {
		switch c := p.space(); {
		case c == '}':
			p.pos++
			p.out = append(p.out, '}')
			return nil
		case first && c == '"':
		case !first && c == ',':
			p.pos++
			if p.space() != '"' {
				return errNoPrune
			}
		default:
			return errNoPrune
		}
		from := p.pos
		if !p.string() {
			return errNoPrune
		}
		key := p.in[from:p.pos]
		if p.space() != ':' {
			return errNoPrune
		}
		p.pos++
		branch, listed := out[string(key[1:len(key)-1])]
		if listed && branch == nil {
			p.space()
			if !p.skip() {
				return errNoPrune
			}
			continue
		}
		if p.out[len(p.out)-1] != '{' {
			p.out = append(p.out, ',')
		}
		p.out = append(append(p.out, key...), ':')
		at := len(p.out)
		var err error
		switch {
		case !listed:
			err = p.copy()
		case branch["*"] != nil:
			err = p.list(branch["*"])
		default:
			err = p.object(branch, false)
		}
		if err != nil {
			return err
		}
		if top && string(key) == `"kind"` {
			p.kind = bytes.Trim(p.out[at:], `"`)
		}
		if top && string(key) == `"apiVersion"` {
			p.apiVersion = bytes.Trim(p.out[at:], `"`)
		}
	}
}

// list copies a list of objects.
func (p *pruner) list(out branches) error {
	if p.space() != '[' {
		return p.copy()
	}
	p.pos++
	p.out = append(p.out, '[')
	for first := true; ; first = false {
		switch c := p.space(); {
		case c == ']':
			p.pos++
			p.out = append(p.out, ']')
			return nil
		case first:
		case c == ',':
			p.pos++
			p.out = append(p.out, ',')
		default:
			return errNoPrune
		}
		if err := p.object(out, false); err != nil {
			return err
		}
	}
}

// copy copies a value, without the white space between its parts.
func (p *pruner) copy() error {
	p.space()
	from, depth := p.pos, 0
	for p.pos < len(p.in) {
		switch p.in[p.pos] {
		case '"':
			if !p.string() {
				return errNoPrune
			}
			if depth == 0 {
				p.out = append(p.out, p.in[from:p.pos]...)
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 { // the end of a scalar
				p.out = append(p.out, p.in[from:p.pos]...)
				return nil
			}
			if depth == 0 {
				p.pos++
				p.out = append(p.out, p.in[from:p.pos]...)
				return nil
			}
		case ',':
			if depth == 0 {
				p.out = append(p.out, p.in[from:p.pos]...)
				return nil
			}
		case ' ', '\n', '\t', '\r':
			p.out = append(p.out, p.in[from:p.pos]...)
			p.space()
			if from = p.pos; depth == 0 {
				return nil
			}
			continue
		}
		p.pos++
	}
	return errNoPrune
}

// string passes over a string.
func (p *pruner) string() bool {
	i := p.pos + 1
	for {
		n := bytes.IndexByte(p.in[min(i, len(p.in)):], '"')
		if n < 0 {
			return false
		}
		end := i + n
		slashes := 0
		for j := end - 1; j >= i && p.in[j] == '\\'; j-- {
			slashes++
		}
		i = end + 1
		if slashes%2 == 0 {
			p.pos = i
			return true
		}
	}
}

// skip passes over a value.
func (p *pruner) skip() bool {
	depth := 0
	for p.pos < len(p.in) {
		switch p.in[p.pos] {
		case '"':
			if !p.string() {
				return false
			}
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return true // the end of a scalar
			}
			if depth--; depth == 0 {
				p.pos++
				return true
			}
		case ',', ' ', '\t', '\r':
			if depth == 0 {
				return true
			}
		case '\n':
			if depth == 0 {
				return true
			}
			p.pos++
			for p.pos < len(p.in) && p.in[p.pos] == ' ' { // most of the text is that
				p.pos++
			}
			continue
		}
		p.pos++
	}
	return depth == 0
}
