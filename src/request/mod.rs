//! (room request)
