package kube

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pageSize is how many objects one answer may hold: the API server and we then
// never hold more than some megabytes of a list at once.
const pageSize = 500

// list reads all objects of a kind at one resource version, page by page, and
// keeps of each page what convert makes of it. Objects that are not kept are
// freed with their page.
//
// A list that takes longer than the API server keeps its version (five minutes)
// is started again, whole.
func list[L metav1.ListInterface, R any](
	ctx context.Context,
	page func(context.Context, metav1.ListOptions) (L, error),
	convert func(L) []R,
) ([]R, error) {
	items, _, err := listAt(ctx, page, convert)
	return items, err
}

// listAt is list, and says at which resource version it was.
func listAt[L metav1.ListInterface, R any](
	ctx context.Context,
	page func(context.Context, metav1.ListOptions) (L, error),
	convert func(L) []R,
) ([]R, string, error) {
	var all []R
	options := metav1.ListOptions{Limit: pageSize}
	for {
		got, err := page(ctx, options)
		if err != nil {
			if apierrors.IsResourceExpired(err) && options.Continue != "" {
				all, options = nil, metav1.ListOptions{}
				continue
			}
			return nil, "", err
		}
		all = append(all, convert(got)...)
		if options.Continue = got.GetContinue(); options.Continue == "" {
			return all, got.GetResourceVersion(), nil
		}
	}
}
