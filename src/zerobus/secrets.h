// What must not come back to light: a service may repeat in its texts what it was sent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace arrowport::zerobus {

/// The part of a request header's value that is secret: without "Bearer ", "Basic " ...
std::string SecretOf(std::string_view header_value);

/// Overwrites each occurrence of a secret by as many asterisks, so that binary forms stay
/// what they are. Secrets below 8 bytes are left: they are words of any text.
void MaskSecrets(const std::vector<std::string>& secrets, std::string* text);

/// `url` with *** instead of what stands before an @, for messages.
std::string WithoutCredentials(std::string_view url);

}  // namespace arrowport::zerobus
