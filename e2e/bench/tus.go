package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
)

// tusUpload sends the first size bytes of a file to a tus 1.0 server
// (https://tus.io/protocols/resumable-upload), in PATCHes of at most chunk bytes:
// the plainest client there can be, the same for every server. It returns the
// answer to the POST.
func tusUpload(ctx context.Context, endpoint, path string, size, chunk int64) (*http.Response, error) {
	made, err := tus(ctx, http.MethodPost, endpoint, nil, "Upload-Length", strconv.FormatInt(size, 10))
	if err != nil {
		return nil, err
	}
	location, err := made.Request.URL.Parse(made.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	for offset := int64(0); offset < size; offset += chunk {
		if err := tusPatch(ctx, location.String(), path, offset, min(chunk, size-offset)); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func tusPatch(ctx context.Context, address, path string, offset, n int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	answer, err := tus(ctx, http.MethodPatch, address, io.NewSectionReader(file, offset, n), "Upload-Offset", strconv.FormatInt(offset, 10),
		"Content-Type", "application/offset+octet-stream")
	if err != nil {
		return err
	}
	if got := answer.Header.Get("Upload-Offset"); got != strconv.FormatInt(offset+n, 10) {
		return fmt.Errorf("the upload stands at %s instead of %d", got, offset+n)
	}
	return nil
}

func tus(ctx context.Context, method, address string, body *io.SectionReader, headers ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Body, request.ContentLength = io.NopCloser(body), body.Size()
	}
	request.Header.Set("Tus-Resumable", "1.0.0")
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, address, answer.Status, said)
	}
	return answer, err
}
