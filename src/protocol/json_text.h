// JSON text of single values, appended to a string.
#pragma once

#include <string>
#include <string_view>

namespace jeton {

// The string in quotes. Escaped: `"`, `\`, control characters (\b \f \n \r \t, else \u00xx) and
// DEL as \u007f. Each byte that is not part of well-formed UTF-8 (RFC 3629: no surrogates, no
// overlong forms) becomes \ufffd; other text beyond ASCII stays as it is.
void AppendJsonString(std::string& out, std::string_view bytes);

// The same without the quotes around it.
void AppendJsonEscaped(std::string& out, std::string_view bytes);

// Whether `text` is a number by the grammar of RFC 8259.
bool IsJsonNumber(std::string_view text);

}  // namespace jeton
