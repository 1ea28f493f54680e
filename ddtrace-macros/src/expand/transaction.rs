//! What `#[dsm_transaction]` adds: a transaction of the user's passes a checkpoint of the user's when the function begins.

use proc_macro2::TokenStream;

use super::checkpoint::text;
use crate::args::TransactionArgs;
use crate::tokens::ours;

/// The passage.
pub(crate) fn at_start(args: &TransactionArgs, private: &TokenStream) -> TokenStream {
    let id = text(&args.id, private);
    let checkpoint = text(&args.checkpoint, private);
    ours! {
        if #private::dsm::is_on() {
            #private::dsm::transaction(#id, #checkpoint);
        }
    }
}
