package keycard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keycard/generated"
)

// Problem is the error of every call that was answered, but not as asked (RFC 9457). Find it with errors.As and compare its Slug
// with the constants generated.Slug…; later versions of Keycard have more kinds than those.
type Problem struct {
	Type      string
	Slug      string // the end of Type; empty when the answer did not come from Keycard, but from a proxy for instance
	Title     string
	Status    int // of the HTTP answer
	Detail    string
	RequestID string
	Errors    []generated.InputError // the faults of the input, and where each is
	// RetryAfter is how long the server asked to wait; 0 when it did not.
	RetryAfter time.Duration
}

func (p *Problem) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("keycard: %d %s", p.Status, p.Slug)) + ": "
	if p.Detail != "" {
		return text + p.Detail
	}
	return text + p.Title
}

// newProblem reads an answer; what is no problem becomes one with the status alone.
func newProblem(response *http.Response, body []byte) *Problem {
	found := generated.Problem{}
	if err := json.Unmarshal(body, &found); err != nil {
		found = generated.Problem{}
	}
	_, slug, _ := strings.Cut(found.Type, "/problems/")
	if found.Title == "" {
		found.Title = http.StatusText(response.StatusCode)
	}
	if found.RequestId == "" {
		found.RequestId = response.Header.Get("X-Request-ID")
	}
	wait, _ := retryAfter(response)
	return &Problem{
		Type: found.Type, Slug: slug, Title: found.Title, Status: response.StatusCode, Detail: found.Detail,
		RequestID: found.RequestId, Errors: found.Errors, RetryAfter: wait,
	}
}

// failure makes the error of a call from what the generated code returned.
func failure(response *http.Response, err error) error {
	if err == nil {
		return nil
	}
	var problem *Problem
	if errors.As(err, &problem) {
		return problem // of a refresh inside this call
	}
	if response == nil || response.StatusCode < 300 {
		return err
	}
	body, _ := io.ReadAll(response.Body)
	return newProblem(response, body)
}

// retryAfter returns how long the answer asks to wait, and whether it does (RFC 9110, section 10.2.3).
func retryAfter(response *http.Response) (time.Duration, bool) {
	value := response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if moment, err := http.ParseTime(value); err == nil {
		return max(time.Until(moment), 0), true
	}
	return 0, false
}

// isOneOf says whether err is a problem of one of these kinds.
func isOneOf(err error, slugs ...string) bool {
	var problem *Problem
	if !errors.As(err, &problem) {
		return false
	}
	for _, slug := range slugs {
		if problem.Slug == slug {
			return true
		}
	}
	return false
}

// sessionIsOver says whether a refusal of the refresh token is final.
func sessionIsOver(err error) bool {
	return isOneOf(
		err, generated.SlugRefreshTokenReused, generated.SlugSessionEnded, generated.SlugTokenRevoked,
		generated.SlugTokenExpired, generated.SlugInvalidToken, generated.SlugAccountSuspended,
	)
}

// curedByRefresh says whether another access token may be accepted where this one was not.
func curedByRefresh(err error) bool {
	return isOneOf(
		err, generated.SlugTokenExpired, generated.SlugInvalidToken, generated.SlugTokenRevoked,
		generated.SlugAuthenticationRequired,
	)
}

// isLost says whether the server may have done what was asked although its answer did not arrive.
func isLost(err error) bool {
	var problem *Problem
	return !errors.As(err, &problem) || (problem.Status >= 500 && problem.RetryAfter == 0)
}
