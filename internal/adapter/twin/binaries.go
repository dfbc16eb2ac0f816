package twin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// binary is the control plane of a version ("1.34.4"), found in a folder
// laid out as <minor>/kube. A patch other than the one that was built is run by
// its minor's binary, which then reports that patch.
type binary struct {
	path     string
	version  string // the version it was built from, "1.34.4"
	reported string // the version it is to report
}

func findBinary(folder, version string) (binary, error) {
	minor, err := minorOf(version)
	if err != nil {
		return binary{}, err
	}
	path := filepath.Join(folder, minor, "kube")
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return binary{}, fmt.Errorf("no Kubernetes %s in %s (there are: %s): run make kube", minor, folder, strings.Join(Minors(folder), ", "))
		}
		return binary{}, fmt.Errorf("look for Kubernetes %s: %w", minor, err)
	}
	built, err := os.ReadFile(filepath.Join(folder, minor, "version"))
	if err != nil {
		return binary{}, fmt.Errorf("read which patch %s is: %w; run make kube", path, err)
	}
	return binary{path: path, version: strings.TrimPrefix(strings.TrimSpace(string(built)), "v"), reported: version}, nil
}

// Minors lists the minors ("1.34") whose control planes are in a folder, in
// alphabetical order; none when the folder cannot be read.
func Minors(folder string) []string {
	found, err := filepath.Glob(filepath.Join(folder, "*", "kube"))
	if err != nil {
		return nil
	}
	minors := make([]string, 0, len(found))
	for _, path := range found {
		minors = append(minors, filepath.Base(filepath.Dir(path)))
	}
	slices.Sort(minors)
	return minors
}

// Built returns the patch ("1.34.4") that the control plane of a minor ("1.34")
// was built from.
func Built(folder, minor string) (string, error) {
	found, err := findBinary(folder, minor+".0")
	return found.version, err
}

func minorOf(version string) (string, error) {
	parts := strings.Split(version, ".")
	if len(parts) != 3 || strings.HasPrefix(version, "v") {
		return "", fmt.Errorf("version %q is not of the form 1.34.4", version)
	}
	return parts[0] + "." + parts[1], nil
}
