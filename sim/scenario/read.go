package scenario

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

//go:embed embedded
var embedded embed.FS

// Names lists the scenarios that come with the simulator.
func Names() []string {
	entries, err := embedded.ReadDir("embedded")
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".yaml"); ok && !entry.IsDir() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Load returns an embedded scenario by name, or reads a file.
func Load(nameOrFile string) (*Scenario, error) {
	if slices.Contains(Names(), nameOrFile) {
		folder, err := fs.Sub(embedded, "embedded")
		if err != nil {
			return nil, fmt.Errorf("embedded scenarios: %w", err)
		}
		text, err := fs.ReadFile(folder, nameOrFile+".yaml")
		if err != nil {
			return nil, fmt.Errorf("embedded scenario %s: %w", nameOrFile, err)
		}
		return Parse(nameOrFile+".yaml", text, folder)
	}
	text, err := os.ReadFile(nameOrFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("scenario %q is neither a file nor one of those that come along: %s", nameOrFile, strings.Join(Names(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return Parse(nameOrFile, text, os.DirFS(filepath.Dir(nameOrFile)))
}

// Parse reads and checks a scenario. Its manifests' files are looked up in
// folder. Errors name file and line; those of content are reported all at once.
func Parse(file string, text []byte, folder fs.FS) (*Scenario, error) {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, positioned(file, err)
	}
	var s Scenario
	if err := yaml.UnmarshalWithOptions(text, &s, yaml.Strict()); err != nil {
		return nil, positioned(file, err)
	}
	c := &checker{file: file, tree: tree, scenario: &s}
	c.manifests(folder)
	c.check()
	if err := errors.Join(c.problems...); err != nil {
		return nil, err
	}
	return &s, nil
}

// positioned puts file and line before a decoder's complaint.
func positioned(file string, err error) error {
	var detail yaml.Error
	if errors.As(err, &detail) && detail.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", file, detail.GetToken().Position.Line, detail.GetMessage())
	}
	return fmt.Errorf("%s: %w", file, err)
}

// checker collects the problems of a scenario.
type checker struct {
	file     string
	tree     *ast.File
	scenario *Scenario
	problems []error
}

// add reports a problem at a path such as "$.clusters[0].version".
func (c *checker) add(at, format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("%s:%d: %s: %s", c.file, c.line(at), strings.TrimPrefix(at, "$."), fmt.Sprintf(format, args...)))
}

// line finds the line of a path, or of the nearest thing around it.
func (c *checker) line(at string) int {
	for at != "" && at != "$" {
		if p, err := yaml.PathString(at); err == nil {
			if node, err := p.FilterFile(c.tree); err == nil && node != nil && node.GetToken() != nil {
				return node.GetToken().Position.Line
			}
		}
		at = at[:max(strings.LastIndexAny(at, ".["), 0)]
	}
	return 1
}

// manifests reads the files of the manifests.
func (c *checker) manifests(folder fs.FS) {
	for name, m := range c.scenario.Manifests {
		at := "$.manifests." + name
		switch {
		case (m.File == "") == (m.Text == ""):
			c.add(at, "needs either file or text")
		case m.File != "":
			text, err := fs.ReadFile(folder, path.Clean(m.File))
			if err != nil {
				c.add(at+".file", "%v", err)
			}
			m.Text = string(text)
			c.scenario.Manifests[name] = m
		}
	}
}
